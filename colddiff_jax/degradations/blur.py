"""Isotropic blurs: repeated Gaussian kernels and the heat equation."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks
from colddiff_jax.degradations.separable import (
    Separable,
    cumulative,
    distinct_sides,
    make_separable,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class HeatBlur(Separable):
    """The blur of the heat equation, of which all steps have the same modes.

    Made by `heat_blur`.

    Attributes:
        operators: as in `Separable`.
        num_steps: T.
        factors: as in `Separable`.
        name: as in `Separable`.
        gains: the factors exp(-pi^2 n^2 sigma_t^2 / (2 S^2)) of the modes of rows and
            columns, float32 [T, H] and [T, W]; just one table for square images.

    Example:
        >>> heat_blur((24, 32), [1.0, 2.0]).gains[1].shape
        (2, 32)
    """

    gains: tuple[chex.Array, ...] = ()

    def with_factors(self) -> Self:
        """Returns this degradation with all that `pseudo_inverse` would compute anew.

        The modes are cosines, and nothing has to be decomposed.
        """
        factors = []
        for gains in self.gains:
            modes = jnp.asarray(dct_matrix(gains.shape[1])[None], jnp.float32)
            factors.append((modes.swapaxes(1, 2), gains, modes))
        return dataclasses.replace(self, factors=tuple(factors))

    def frequencies(self) -> chex.Array:
        """Returns the frequency pi sqrt(n^2 / H^2 + m^2 / W^2) of each mode.

        Returns:
            float32 [H, W], in radians per pixel.
        """
        rows, columns = (
            jnp.pi * jnp.arange(gains.shape[1]) / gains.shape[1]
            for gains in (self.gains[0], self.gains[-1])
        )
        return jnp.hypot(rows[:, None], columns[None, :])


def gaussian_blur(
    image_size: int | Sequence[int],
    stds: Sequence[float] | np.ndarray,
    *,
    kernel_size: int | Sequence[int],
    padding: Literal["circular", "reflect"] = "circular",
    repeated: bool = True,
    to_mean: bool = False,
) -> Separable:
    """Makes a blur that applies one more Gaussian kernel at every step.

        D(x, t) = G_t * ... * G_1 * x = A_t x A_t^T,    A_t = K_t ... K_1

    where G_i is the kernel_size x kernel_size Gaussian of standard deviation stds[i -
    1], sampled at the pixels and normalised, and K_i is the S x S band matrix that
    convolves one axis with it, including the padding. The products are computed once,
    on the host in float64, so the cost does not depend on t.

    Args:
        image_size: side of the images in pixels, or (height, width).
        stds: standard deviations in pixels, whatever the image's size, one per step.
        kernel_size: odd number of taps per axis, for all kernels or one per step.
        padding: "circular", or "reflect" (mirrored without repeating the edge pixel).
        repeated: apply the kernels of all steps up to t; if False, only the kernel of
            step t, D(x, t) = G_t * x.
        to_mean: replace step T by the mean of each channel, so that D(x, T) is exactly
            one flat colour (the starting point of unconditional generation).

    Returns:
        A deterministic degradation with T = len(stds).

    Raises:
        ValueError: an even kernel_size, one too large for the image, an unknown
            padding, or a standard deviation that is not positive.

    Example:
        >>> blur = gaussian_blur(32, 20 * [7.0], kernel_size=11)   # MNIST in the paper
        >>> blur.num_steps
        20

    Reference:
        Bansal et al. (2022), section 4.1 and appendix. The official code convolves t
        times in float32 (`deblurring-diffusion-pytorch`); this is the same linear map.
        Its `discrete` flag combines `to_mean` with rounding the training input to 8
        bits, which is `quantize` here. `repeated=False` is its
        `Individual_Incremental`, for which the official training code composes all
        kernels while the sampler applies only one.
    """
    image_size = checks.check_image_size(image_size)
    stds = checks.check_stds(stds)
    checks.check_choice("padding", padding, _NEIGHBOURS)
    sizes = _check_kernel_sizes(kernel_size, len(stds), image_size, padding)

    def table(side: int) -> np.ndarray:
        kernels = [
            band_matrix(side, std, size, padding)
            for std, size in zip(stds, sizes, strict=True)
        ]
        operators = cumulative(kernels) if repeated else np.stack(kernels)
        if to_mean:
            operators[-1] = 1.0 / side
        return operators

    tables = [table(side) for side in distinct_sides(image_size)]
    return make_separable("gaussian_blur", tables)


def heat_blur(
    image_size: int | Sequence[int], blur_sigmas: Sequence[float] | np.ndarray
) -> HeatBlur:
    """Makes the blur of the heat equation with insulated (Neumann) boundaries.

        D(x, t) = V exp(-Lambda sigma_t^2 / 2) V^T x
        Lambda_nm = pi^2 (n^2 / H^2 + m^2 / W^2)

    where V^T is the orthonormal two-dimensional discrete cosine transform (DCT-II).
    Unlike the stds of `gaussian_blur`, the widths are cumulative: sigma_t is the
    standard deviation, in pixels, of the total blur at step t.

    Args:
        image_size: side of the images in pixels, or (height, width).
        blur_sigmas: total widths in pixels, whatever the image's size, one per step,
            non-decreasing.

    Returns:
        A deterministic degradation with T = len(blur_sigmas).

    Raises:
        ValueError: a width that is not positive, or widths that decrease.

    Example:
        >>> sigmas = schedules.geometric(200, start=0.5, stop=24.0)
        >>> heat_blur(32, sigmas).num_steps
        200

    Reference:
        Rissanen, Heinonen, Solin (2022), "Generative modelling with inverse heat
        dissipation", arXiv:2206.13397, section 3.1. Its noise on the training input is
        `input_noise` of the training objective here.
    """
    image_size = checks.check_image_size(image_size)
    sigmas = checks.check_schedule(
        "blur_sigmas", blur_sigmas, "positive", lambda v: v > 0, order="rising"
    )

    # Step by step in float32: float64 tables of a large photograph take gigabytes.
    def table(side: int) -> np.ndarray:
        steps = np.empty((len(sigmas), side, side), np.float32)
        for step, sigma in zip(steps, sigmas, strict=True):
            step[:] = heat_matrix(side, sigma)
        return steps

    sides = distinct_sides(image_size)
    gains = [heat_gains(side, sigmas) for side in sides]
    return HeatBlur(
        operators=tuple(jnp.asarray(table(side)) for side in sides),
        num_steps=len(sigmas),
        gains=tuple(jnp.asarray(table, jnp.float32) for table in gains),
        name="heat_blur",
    )


def heat_gains(side: int, sigmas: np.ndarray) -> np.ndarray:
    """Returns exp(-Lambda sigma^2 / 2) of one axis, float64 [T, side]."""
    frequencies = np.pi * np.arange(side) / side
    return np.exp(-(frequencies**2) * sigmas[:, None] ** 2 / 2)


def heat_matrix(side: int, sigma: float) -> np.ndarray:
    """Returns V exp(-Lambda sigma^2 / 2) V^T of one axis, float64 [side, side].

    It convolves the image and its mirror images with k, the Gaussian of the circle of
    2 S pixels: A_ij = k(i - j) + k(i + j + 1). That is S^2 additions instead of the S^3
    of a matrix product.
    """
    frequencies = np.pi * np.arange(side + 1) / side
    gains = np.exp(-(frequencies**2) * sigma**2 / 2)
    gains[side] = 0  # The DCT has no such frequency.
    kernel = np.fft.irfft(gains, 2 * side)
    pixels = np.arange(side)
    rows, columns = pixels[:, None], pixels[None, :]
    return kernel[np.abs(rows - columns)] + kernel[rows + columns + 1 - 2 * side]


def dct_matrix(side: int) -> np.ndarray:
    """Returns the orthonormal DCT-II, float64 [side, side], one frequency per row."""
    frequencies, pixels = np.arange(side)[:, None], np.arange(side)[None, :]
    matrix = np.cos(np.pi * frequencies * (2 * pixels + 1) / (2 * side))
    matrix *= np.sqrt(2 / side)
    matrix[0] /= np.sqrt(2)
    return matrix


def band_matrix(side: int, std: float, kernel_size: int, padding: str) -> np.ndarray:
    """Returns the matrix [side, side] of one Gaussian convolution with padding."""
    offsets = np.arange(kernel_size) - kernel_size // 2
    with np.errstate(over="ignore"):  # A tiny std leaves only the middle tap.
        taps = np.exp(-((offsets / std) ** 2) / 2)
    taps /= taps.sum()
    pixels = np.arange(side)
    matrix = np.zeros((side, side))
    for offset, tap in zip(offsets, taps, strict=True):
        # Near an edge the same neighbour can occur twice, so add rather than assign.
        np.add.at(matrix, (pixels, _NEIGHBOURS[padding](pixels + offset, side)), tap)
    return matrix


def _reflect(indices: np.ndarray, side: int) -> np.ndarray:
    return (side - 1) - np.abs((side - 1) - np.abs(indices))


_NEIGHBOURS = {
    "circular": lambda indices, side: indices % side,
    "reflect": _reflect,
}


def _check_kernel_sizes(
    kernel_size: int | Sequence[int],
    num_steps: int,
    image_size: tuple[int, int],
    padding: str,
) -> list[int]:
    """Returns one odd kernel size per step, small enough for the padding."""
    sizes = np.asarray(kernel_size).tolist()
    if not isinstance(sizes, list):
        sizes = num_steps * [sizes]
    if len(sizes) != num_steps:
        raise ValueError(
            f"kernel_size must be one integer, or one per step ({num_steps}), got "
            f"{len(sizes)} of them"
        )
    largest = 2 * min(image_size) + (1 if padding == "circular" else -1)
    for size in sizes:
        if type(size) is not int or size < 1 or size % 2 == 0:
            raise ValueError(
                f"kernel_size must be a positive odd integer, got {size!r}"
            )
        if size > largest:
            raise ValueError(
                f"kernel_size must be at most {largest} for {padding} padding of "
                f"{image_size[0]} x {image_size[1]} images, got {size}"
            )
    return sizes
