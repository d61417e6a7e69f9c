"""Gaussian blur, any number of steps for the price of two matrix products."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations import base


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class GaussianBlur:
    """Repeated Gaussian blur, D(x, t) = A_t x B_t^T on every channel.

    Made by `gaussian_blur`.

    Attributes:
        operators: (A, B) for the rows and columns, float32 [T + 1, H, H] and
            [T + 1, W, W]; (A,) alone for square images, whose two axes share a table.
        num_steps: T.
    """

    operators: tuple[chex.Array, ...]
    num_steps: int = dataclasses.field(metadata={"static": True})

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: a blur has nothing to draw."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """D(x, t) for float images x [B, H, W, C] and an integer t [] or [B]."""
        rows, columns = self.operators[0], self.operators[-1]
        image_size = (rows.shape[-1], columns.shape[-1])
        x, t = base.check_call(x, t, self.num_steps, image_size)
        # Algorithm 2 subtracts two nearly equal images: no bfloat16 or TF32 products.
        product = _precise_einsum(
            "...ij,...jwc->...iwc", rows[t], x.astype(jnp.float32)
        )
        x_t = _precise_einsum("...kw,...iwc->...ikc", columns[t], product)
        return jnp.where(base.per_example(t == 0, x), x, x_t.astype(x.dtype))


def gaussian_blur(
    image_size: int | Sequence[int],
    stds: Sequence[float] | np.ndarray,
    *,
    kernel_size: int,
    padding: Literal["circular", "reflect"] = "circular",
    to_mean: bool = False,
) -> GaussianBlur:
    """Makes a blur that grows by one Gaussian kernel a step.

        D(x, t) = G_t * ... * G_1 * x = A_t x A_t^T,    A_t = K_t ... K_1

    where G_i is the kernel_size x kernel_size Gaussian of standard deviation stds[i -
    1], sampled at the pixels and normalised, and K_i the S x S band matrix that
    convolves one axis with it, the padding included. The products are made once on the
    host in float64, so the cost does not depend on t.

    Args:
        image_size: side of the images in pixels, or (height, width).
        stds: standard deviations in pixels, one per step; T is their number.
        kernel_size: odd number of taps of every kernel.
        padding: "circular", or "reflect" (mirrored without repeating the edge pixel).
        to_mean: replace step T by the mean of each channel, so that D(x, T) is exactly
            one flat colour (the starting point of unconditional generation).

    Returns:
        A deterministic degradation with T = len(stds).

    Raises:
        ValueError: an even kernel, one wider than the image allows, an unknown padding,
            or a standard deviation that is not positive.

    Example:
        >>> blur = gaussian_blur(32, 20 * [7.0], kernel_size=11)   # MNIST in the paper
        >>> blur.num_steps
        20

    Reference:
        Bansal et al. (2022), section 4.1 and appendix. The official code convolves t
        times in float32 (`deblurring-diffusion-pytorch`); this is the same linear map.
        Its `discrete` flag also rounds the training input to 8 bits, which `to_mean`
        does not.
    """
    height, width = base.check_image_size(image_size)
    stds = base.check_stds(stds)
    if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size must be a positive odd integer, got {kernel_size!r}"
        )
    if padding not in _NEIGHBOURS:
        raise ValueError(
            f"padding must be one of {sorted(_NEIGHBOURS)}, got {padding!r}"
        )
    largest = 2 * min(height, width) + (1 if padding == "circular" else -1)
    if kernel_size > largest:
        raise ValueError(
            f"kernel_size must be at most {largest} for {padding} padding of images of "
            f"{height} x {width} pixels, got {kernel_size}"
        )
    sides = (height,) if height == width else (height, width)
    tables = tuple(_cumulative_operators(s, stds, kernel_size, padding) for s in sides)
    if to_mean:
        for table in tables:
            table[-1] = 1.0 / table.shape[-1]
    return GaussianBlur(
        operators=tuple(jnp.asarray(table, jnp.float32) for table in tables),
        num_steps=len(stds),
    )


def _precise_einsum(subscripts: str, *operands: chex.Array) -> chex.Array:
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)


def _cumulative_operators(
    side: int, stds: np.ndarray, kernel_size: int, padding: str
) -> np.ndarray:
    """A_0 = I, A_1, ..., A_T as float64 [T + 1, side, side]."""
    operators = [np.eye(side)]
    for std in stds:
        operators.append(_band_matrix(side, std, kernel_size, padding) @ operators[-1])
    return np.stack(operators)


def _band_matrix(side: int, std: float, kernel_size: int, padding: str) -> np.ndarray:
    """The matrix that convolves a signal of length `side` with one padded Gaussian."""
    offsets = np.arange(kernel_size) - kernel_size // 2
    taps = np.exp(-(offsets**2) / (2.0 * std**2))
    taps /= taps.sum()
    pixels = np.arange(side)
    matrix = np.zeros((side, side))
    for offset, tap in zip(offsets, taps, strict=True):
        # A neighbour can be met twice near an edge: add, never assign.
        np.add.at(matrix, (pixels, _NEIGHBOURS[padding](pixels + offset, side)), tap)
    return matrix


def _reflect(indices: np.ndarray, side: int) -> np.ndarray:
    return (side - 1) - np.abs((side - 1) - np.abs(indices))


_NEIGHBOURS = {
    "circular": lambda indices, side: indices % side,
    "reflect": _reflect,
}
