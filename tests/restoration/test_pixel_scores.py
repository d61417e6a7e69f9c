"""Scores of images in a line of text."""

import numpy as np
import pytest

from colddiff_jax import metrics
from colddiff_jax.io.images import as_saved
from colddiff_jax.restoration.pixel_scores import pixel_scores


@pytest.mark.parametrize("count", [3, 70])
def test_scores_are_those_of_saved_images(photos, count):
    clean = np.resize(photos, (count, *photos.shape[1:]))
    noise = np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)
    noisy = clean + 0.5 * noise  # Partly outside [-1, 1].
    pair = as_saved(noisy), as_saved(clean)
    rmse = np.sqrt(metrics.mean_squared_error(*pair).mean())
    expected = f"RMSE {rmse:.3f}, SSIM {metrics.ssim(*pair).mean():.3f}"
    assert pixel_scores(noisy, clean) == expected


def test_images_smaller_than_the_window_of_ssim_have_an_rmse_alone():
    x = np.zeros((1, 8, 40, 3), np.float32)
    assert pixel_scores(x + 2, x) == "RMSE 0.498"  # White is 255, and grey is 128.
