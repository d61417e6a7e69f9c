"""RMSE and SSIM against independent implementations."""

import numpy as np
import pytest
import skimage.metrics

from colddiff_jax import metrics


@pytest.fixture
def noisy(photos):
    noise = np.random.default_rng(0).normal(0, 0.2, photos.shape)
    return (photos + noise).astype(np.float32)


def test_the_squared_error_is_on_the_unit_scale(photos, noisy):
    expected = [
        skimage.metrics.mean_squared_error((a + 1) / 2, (b + 1) / 2)
        for a, b in zip(photos, noisy, strict=True)
    ]
    np.testing.assert_allclose(
        metrics.mean_squared_error(photos, noisy), expected, rtol=1e-5
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_scikit_image(photos, noisy, channels):
    photos, noisy = photos[..., :channels], noisy[..., :channels]
    expected = []
    for a, b in zip(photos, noisy, strict=True):
        _, whole = skimage.metrics.structural_similarity(
            (a + 1) / 2,
            (b + 1) / 2,
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            truncate=3.5,
            full=True,
        )
        expected.append(whole[5:-5, 5:-5].mean())
    np.testing.assert_allclose(metrics.ssim(photos, noisy), expected, atol=1e-5)


def test_an_image_is_most_similar_to_itself(photos):
    np.testing.assert_allclose(metrics.ssim(photos, photos), 1, atol=1e-6)


def test_images_smaller_than_the_window_are_named(photos):
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 10 x 32"):
        metrics.ssim(photos[:, :10], photos[:, :10])
