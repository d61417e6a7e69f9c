"""Pixel metrics, per image, on the [0, 1] scale of the paper's tables."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

_WINDOW_SIZE, _WINDOW_STD = 11, 1.5
_K1, _K2 = 0.01, 0.03


def mean_squared_error(x: chex.Array, y: chex.Array) -> chex.Array:
    """Mean squared difference of each pair of images, on the [0, 1] scale.

        MSE_b = mean over pixels and channels of ((x_b - y_b) / 2)^2

    The RMSE of the paper's tables is the root of its mean over all images.

    Args:
        x: images, float [B, H, W, C], in [-1, 1]; not clipped, as in the paper.
        y: the same.

    Returns:
        float32 [B].

    Example:
        >>> rmse = jnp.sqrt(mean_squared_error(x, y).mean())

    Reference:
        Bansal et al. (2022), section 4; the official evaluation code.
    """
    chex.assert_equal_shape([x, y])
    return jnp.square((x - y) / 2).mean(axis=(1, 2, 3))


def ssim(x: chex.Array, y: chex.Array) -> chex.Array:
    """Structural similarity of each pair of images, averaged over pixels and channels.

        SSIM = (2 m_x m_y + c_1)(2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1)(s_x^2 + s_y^2 +
        c_2))

    with local means, variances and covariance under an 11 x 11 Gaussian window of
    standard deviation 1.5, where it fits entirely inside the image, c_1 = 0.01^2, c_2 =
    0.03^2.

    Args:
        x: images, float [B, H, W, C], in [-1, 1], sides of at least 11; not clipped.
        y: the same.

    Returns:
        float32 [B], at most 1.

    Raises:
        ValueError: images smaller than the window.

    Example:
        >>> ssim(x, x).mean()
        Array(1., dtype=float32)

    Reference:
        Wang et al. (2004); the settings of pytorch-msssim, which the paper used.
    """
    chex.assert_equal_shape([x, y])
    if min(x.shape[1:3]) < _WINDOW_SIZE:
        raise ValueError(
            f"SSIM needs images of at least {_WINDOW_SIZE} x {_WINDOW_SIZE} pixels, "
            f"got {x.shape[1]} x {x.shape[2]}"
        )
    x, y = (x + 1) / 2, (y + 1) / 2
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    variance_x = _local_mean(x * x) - mean_x**2
    variance_y = _local_mean(y * y) - mean_y**2
    covariance = _local_mean(x * y) - mean_x * mean_y
    c_1, c_2 = _K1**2, _K2**2
    luminance = (2 * mean_x * mean_y + c_1) / (mean_x**2 + mean_y**2 + c_1)
    structure = (2 * covariance + c_2) / (variance_x + variance_y + c_2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _local_mean(x: chex.Array) -> chex.Array:
    """Gaussian-weighted means over all windows that fit, as two band matrices."""
    offsets = np.arange(_WINDOW_SIZE) - _WINDOW_SIZE // 2
    taps = np.exp(-(offsets**2) / (2 * _WINDOW_STD**2))
    taps /= taps.sum()

    def bands(side: int) -> chex.Array:
        matrix = np.zeros((side - _WINDOW_SIZE + 1, side))
        for row in range(len(matrix)):
            matrix[row, row : row + _WINDOW_SIZE] = taps
        return jnp.asarray(matrix, jnp.float32)

    rows, columns = bands(x.shape[1]), bands(x.shape[2])
    # Variances are differences of nearly equal numbers: full precision.
    x = jnp.einsum("ij,bjwc->biwc", rows, x, precision=jax.lax.Precision.HIGHEST)
    return jnp.einsum("kw,biwc->bikc", columns, x, precision=jax.lax.Precision.HIGHEST)
