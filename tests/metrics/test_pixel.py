"""Pixel metrics against independent implementations."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import skimage.metrics

from colddiff_jax import metrics


@pytest.fixture
def noisy(photos):
    noise = np.random.default_rng(0).normal(0, 0.2, photos.shape)
    return (photos + noise).astype(np.float32)


def test_mean_squared_error_is_on_the_unit_scale(photos, noisy):
    expected = [
        skimage.metrics.mean_squared_error((a + 1) / 2, (b + 1) / 2)
        for a, b in zip(photos, noisy, strict=True)
    ]
    np.testing.assert_allclose(
        metrics.mean_squared_error(photos, noisy), expected, rtol=1e-5
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_matches_scikit_image(photos, noisy, channels):
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


def test_ssim_of_equal_images_is_one(photos):
    np.testing.assert_allclose(metrics.ssim(photos, photos), 1, atol=1e-6)


def test_ssim_raises_for_images_smaller_than_the_window(photos):
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 10 x 32"):
        metrics.ssim(photos[:, :10], photos[:, :10])


def test_psnr_matches_scikit_image(photos, noisy):
    expected = [
        skimage.metrics.peak_signal_noise_ratio((a + 1) / 2, (b + 1) / 2, data_range=1)
        for a, b in zip(photos, noisy, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(photos, noisy), expected, rtol=1e-5)
    assert np.isposinf(metrics.psnr(photos, photos)).all()


def ms_ssim_by_definition(x, y):
    """MS-SSIM of one channel in [0, 1], float64, by the definition."""
    product = 1.0
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    for scale, weight in enumerate(weights):

        def mean(z):
            return scipy.ndimage.gaussian_filter(z, 1.5, radius=5)[5:-5, 5:-5]

        covariance = mean(x * y) - mean(x) * mean(y)
        variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
        similarity = (2 * covariance + 0.03**2) / (variances + 0.03**2)
        if scale == 4:
            squares = mean(x) ** 2 + mean(y) ** 2
            similarity *= (2 * mean(x) * mean(y) + 0.01**2) / (squares + 0.01**2)
        product *= max(similarity.mean(), 0) ** weight
        padded = [np.pad(z, [(n % 2, n % 2) for n in z.shape]) for z in (x, y)]
        x, y = (
            (z[0:-1:2, 0:-1:2] + z[1::2, 0:-1:2] + z[0:-1:2, 1::2] + z[1::2, 1::2]) / 4
            for z in padded
        )
    return product


@pytest.mark.parametrize("shape", [(176, 192), (161, 183)])
def test_ms_ssim_matches_its_definition(shape):
    height, width = shape
    x = skimage.data.astronaut()[:height, 100 : 100 + width] / 255
    y = np.clip(x + np.random.default_rng(0).normal(0, 0.1, x.shape), 0, 1)
    pairs = [(x, y), (x, scipy.ndimage.gaussian_filter(x, (2, 2, 0))), (x, x)]
    for a, b in pairs:
        expected = np.mean(
            [ms_ssim_by_definition(a[..., c], b[..., c]) for c in (0, 1, 2)]
        )
        images = [(2 * z[None] - 1).astype(np.float32) for z in (a, b)]
        assert metrics.ms_ssim(*images)[0] == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_raises_for_images_too_small_for_five_scales():
    x = np.zeros((1, 160, 200, 1), np.float32)
    with pytest.raises(ValueError, match="at least 161 x 161 pixels, got 160 x 200"):
        metrics.ms_ssim(x, x)
