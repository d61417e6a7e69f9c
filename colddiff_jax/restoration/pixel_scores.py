"""RMSE and SSIM of images against their originals, in a line of text."""

import chex
import jax
import numpy as np

from colddiff_jax.io.images import as_saved
from colddiff_jax.metrics.pixel import SSIM_SIDE, mean_squared_error, ssim

_AT_ONCE = 64  # Images scored in one call.


def pixel_scores(images: np.ndarray, clean: np.ndarray) -> str:
    """Scores images as a saved picture holds them: clipped, rounded to 256 values.

    Args:
        images: float [N, H, W, C] in [-1, 1].
        clean: the originals, likewise.

    Returns:
        The RMSE over all images, on the [0, 1] scale, and their mean SSIM, if they are
        large enough for its window.

    Example:
        >>> x = np.zeros((2, 16, 16, 1), np.float32)
        >>> pixel_scores(x + 0.5, x)
        'RMSE 0.247, SSIM 0.925'
    """
    parts = [
        _scores(images[i : i + _AT_ONCE], clean[i : i + _AT_ONCE])
        for i in range(0, len(images), _AT_ONCE)
    ]
    by_name = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    text = f"RMSE {np.sqrt(by_name['mse'].mean()):.3f}"
    if "ssim" in by_name:
        text += f", SSIM {by_name['ssim'].mean():.3f}"
    return text


@jax.jit
def _scores(x: chex.Array, y: chex.Array) -> dict[str, chex.Array]:
    x, y = as_saved(x), as_saved(y)
    scores = {"mse": mean_squared_error(x, y)}
    if min(x.shape[1:3]) >= SSIM_SIDE:
        scores["ssim"] = ssim(x, y)
    return scores
