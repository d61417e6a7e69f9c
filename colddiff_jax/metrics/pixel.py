"""Per-image pixel metrics on the [0, 1] scale of the paper's tables."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import nn

from colddiff_jax.checks import check_images

SSIM_SIDE, _WINDOW_STD = 11, 1.5
_K1, _K2 = 0.01, 0.03
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

MS_SSIM_SIDE = (SSIM_SIDE - 1) * 2 ** (len(_SCALE_WEIGHTS) - 1) + 1
"""The smallest image side for which `ms_ssim` is defined, 161."""


def mean_squared_error(x: chex.Array, y: chex.Array) -> chex.Array:
    """Computes the mean squared error of each pair of images, on the [0, 1] scale.

        MSE_b = mean over pixels and channels of ((x_b - y_b) / 2)^2

    The RMSE in the paper's tables is the square root of its mean over all images, which
    is larger than the mean per-image RMSE.

    Args:
        x: images, float [B, H, W, C], in [-1, 1]; not clipped, as in the paper.
        y: images of the same shape and range.

    Returns:
        float32 [B].

    Raises:
        TypeError: images that are not floating point.
        ValueError: images that are empty, not [B, H, W, C] or of different shapes.

    Example:
        >>> white, grey = jnp.ones((2, 32, 32, 3)), jnp.zeros((2, 32, 32, 3))
        >>> mean_squared_error(white, grey)
        Array([0.25, 0.25], dtype=float32)

    Reference:
        Bansal et al. (2022), section 4; the official evaluation code.
    """
    x, y = _check_pair(x, y)
    return jnp.square((x - y) / 2).mean(axis=(1, 2, 3))


def psnr(x: chex.Array, y: chex.Array) -> chex.Array:
    """Computes the peak signal-to-noise ratio of each pair of images, in decibels.

        PSNR_b = -10 log10 MSE_b

    Args:
        x: images, float [B, H, W, C], in [-1, 1]; not clipped.
        y: images of the same shape and range.

    Returns:
        float32 [B]; infinite for equal images.

    Raises:
        TypeError, ValueError: as in `mean_squared_error`.

    Example:
        >>> white, grey = jnp.ones((2, 32, 32, 3)), jnp.zeros((2, 32, 32, 3))
        >>> psnr(white, grey).round(2)
        Array([6.02, 6.02], dtype=float32)

    Reference:
        The definition; scikit-image's `peak_signal_noise_ratio` with data_range=1.
    """
    return -10 * jnp.log10(mean_squared_error(x, y))


def ssim(x: chex.Array, y: chex.Array) -> chex.Array:
    """Computes the structural similarity of each pair of images.

        SSIM = (2 m_x m_y + c_1)(2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1)(s_x^2 + s_y^2 +
        c_2))

    averaged over channels and pixels, with c_1 = 0.01^2, c_2 = 0.03^2, and local means
    m, variances s^2 and covariance s_xy under an 11 x 11 Gaussian window of standard
    deviation 1.5, wherever the window fits inside the image.

    Args:
        x: images, float [B, H, W, C], in [-1, 1], H and W at least 11; not clipped.
        y: images of the same shape and range.

    Returns:
        float32 [B], at most 1.

    Raises:
        TypeError, ValueError: as in `mean_squared_error`.
        ValueError: images smaller than the window.

    Example:
        >>> x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1)
        >>> ssim(x, x).mean().round(4)
        Array(1., dtype=float32)

    Reference:
        Wang et al. (2004); the settings of pytorch-msssim, which the paper used.
    """
    x, y = _check_pair(x, y)
    _check_side("SSIM", x, SSIM_SIDE)
    luminance, structure = _similarities((x + 1) / 2, (y + 1) / 2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def ms_ssim(x: chex.Array, y: chex.Array) -> chex.Array:
    """Computes the multi-scale SSIM of each pair of images, averaged over channels.

        MS-SSIM = l_5^w_5 prod_{j=1..5} cs_j^w_j

    with cs_j the mean of the contrast and structure term after halving the images j - 1
    times. The luminance l_5 is multiplied in before taking the mean of the fifth scale.
    Negative means count as zero.

    Args:
        x: images, float [B, H, W, C], in [-1, 1], H and W at least 161; not clipped.
        y: images of the same shape and range.

    Returns:
        float32 [B], in [0, 1].

    Raises:
        TypeError, ValueError: as in `mean_squared_error`.
        ValueError: images too small for the window at the fifth scale.

    Example:
        >>> x = jax.random.uniform(jax.random.key(0), (2, 161, 161, 1), minval=-1)
        >>> ms_ssim(x, x).mean().round(4)
        Array(1., dtype=float32)

    Reference:
        Wang et al. (2003); the settings of pytorch-msssim. As there, an odd side is
        padded with zeros at both ends before it is halved.
    """
    x, y = _check_pair(x, y)
    _check_side("MS-SSIM", x, MS_SSIM_SIDE)
    x, y = (x + 1) / 2, (y + 1) / 2
    product = jnp.ones((x.shape[0], x.shape[3]))
    for scale, weight in enumerate(_SCALE_WEIGHTS, 1):
        luminance, structure = _similarities(x, y)
        if scale == len(_SCALE_WEIGHTS):
            structure *= luminance
        product *= nn.relu(structure.mean(axis=(1, 2))) ** weight
        x, y = _halve(x), _halve(y)
    return product.mean(axis=1)


def _check_pair(x: chex.Array, y: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns both as arrays; raises unless they are float batches of one shape."""
    x, y = check_images(x), check_images(y)
    if x.shape != y.shape:
        raise ValueError(
            f"images must be compared with images of the same shape, got {x.shape} and "
            f"{y.shape}"
        )
    return x, y


def _check_side(metric: str, x: chex.Array, min_side: int) -> None:
    if min(x.shape[1:3]) < min_side:
        raise ValueError(
            f"{metric} needs images of at least {min_side} x {min_side} pixels, got "
            f"{x.shape[1]} x {x.shape[2]}"
        )


def _similarities(x: chex.Array, y: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns both factors of SSIM at every position, for images in [0, 1]."""
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    variance_x = _local_mean(x * x) - mean_x**2
    variance_y = _local_mean(y * y) - mean_y**2
    covariance = _local_mean(x * y) - mean_x * mean_y
    c_1, c_2 = _K1**2, _K2**2
    luminance = (2 * mean_x * mean_y + c_1) / (mean_x**2 + mean_y**2 + c_1)
    structure = (2 * covariance + c_2) / (variance_x + variance_y + c_2)
    return luminance, structure


def _halve(x: chex.Array) -> chex.Array:
    """Averages blocks of 2 x 2 pixels."""
    odd = [side % 2 for side in x.shape[1:3]]
    padding = ((0, 0), *((n, n) for n in odd), (0, 0))
    sums = jax.lax.reduce_window(
        x, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), padding
    )
    return sums / 4


def _local_mean(x: chex.Array) -> chex.Array:
    """Gaussian-weighted means over all windows that fit, by two band matrices."""
    offsets = np.arange(SSIM_SIDE) - SSIM_SIDE // 2
    taps = np.exp(-(offsets**2) / (2 * _WINDOW_STD**2))
    taps /= taps.sum()

    def bands(side: int) -> chex.Array:
        matrix = np.zeros((side - SSIM_SIDE + 1, side))
        for row in range(len(matrix)):
            matrix[row, row : row + SSIM_SIDE] = taps
        return jnp.asarray(matrix, jnp.float32)

    rows, columns = bands(x.shape[1]), bands(x.shape[2])
    # Variances are differences of nearly equal numbers: full precision.
    x = jnp.einsum("ij,bjwc->biwc", rows, x, precision=jax.lax.Precision.HIGHEST)
    return jnp.einsum("kw,biwc->bikc", columns, x, precision=jax.lax.Precision.HIGHEST)
