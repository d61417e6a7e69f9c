"""Pixelation for super-resolution: fewer and fewer pixels, shown at full size."""

import numbers
from collections.abc import Sequence
from typing import Literal

import numpy as np

from colddiff_jax import checks
from colddiff_jax.degradations.blur import band_matrix
from colddiff_jax.degradations.separable import (
    Separable,
    cumulative,
    distinct_sides,
    make_separable,
)


def pixelate(
    image_size: int | Sequence[int],
    sizes: Sequence[int] | Sequence[Sequence[int]] | np.ndarray,
    *,
    method: Literal["bicubic", "bilinear", "area"] = "bicubic",
    blur_std: float | None = None,
) -> Separable:
    """Makes a pixelation with coarser and coarser pixels.

        D(x, t) = f_t(... f_1(x)),    f_i(x) = up(down(x, sizes[i - 1]))

    where `down` resizes without antialiasing and `up` repeats pixels back to the full
    size. Both are linear and separable: D(x, t) = A_t x B_t^T. Pixels are at the
    centres of cells: pixel d of s lies at (d + 1/2) S / s - 1/2 on an axis of S pixels.

    Args:
        image_size: side of the images in pixels, or (height, width).
        sizes: side or (height, width) of the small image in pixels, whatever the
            image's size, one per step, non-increasing.
            `schedules.halving` makes the published sizes; range(S, S - T, -1) removes
            one pixel per step, except that the first step, to S itself, does nothing.
        method: interpolation for shrinking: "bicubic" (four neighbours, a = -0.75,
            edges repeated; overshoots [-1, 1]), "bilinear" (two neighbours), or "area"
            (mean of the cell).
        blur_std: also blur, before and after resizing, with a 3 x 3 Gaussian of this
            standard deviation and reflected edges; 0.5 in the official code.

    Returns:
        A deterministic degradation with T = len(sizes).

    Raises:
        ValueError: sizes that increase or lie outside 1..image_size, an unknown method,
            or a blur_std that is not positive.

    Example:
        >>> degrade = pixelate(32, schedules.halving(32, num_steps=3))
        >>> degrade(jnp.zeros((2, 32, 32, 3)), t=3).shape
        (2, 32, 32, 3)

    Reference:
        Bansal et al. (2022), section 4.3; `resolution-diffusion-pytorch` in the
        official code, which resizes t times: `Incremental_factor_2` (published) and
        `Incremental`, each also with the suffixes `_bilinear`, `_area` and
        `_area_with_blur`. This is the same map, except that a pixel whose centre is on
        the edge between two cells belongs to the second, while PyTorch may round to
        either. Area and bilinear agree where sizes halve. The command for CelebA ends
        at 8 x 8 pixels.
    """
    image_size = checks.check_image_size(image_size)
    sizes = _check_sizes(sizes, image_size)
    checks.check_choice("method", method, _DOWN)
    if blur_std is not None:
        if not (isinstance(blur_std, numbers.Real) and 0 < blur_std < np.inf):
            raise ValueError(f"blur_std must be positive or None, got {blur_std!r}")
        if min(image_size) < 2:
            raise ValueError(
                f"blur_std needs images of at least 2 x 2 pixels, got {image_size}"
            )

    def table(side: int, small_sides: np.ndarray) -> np.ndarray:
        steps = (
            _DOWN[method](side, small)[_cells(small, side)] for small in small_sides
        )
        if blur_std is not None:
            blur = band_matrix(side, blur_std, kernel_size=3, padding="reflect")
            steps = (blur @ step @ blur for step in steps)
        return cumulative(steps)

    sides: tuple[int, ...] = image_size
    if (sizes[:, 0] == sizes[:, 1]).all():
        sides = distinct_sides(image_size)
    tables = [table(side, sizes[:, i]) for i, side in enumerate(sides)]
    return make_separable("pixelate", tables)


def _cells(small: int, side: int) -> np.ndarray:
    """Returns the cell that the centre of each pixel lies in, int [side]."""
    return (2 * np.arange(side) + 1) * small // (2 * side)


def _interpolate(
    side: int, small: int, weights: dict[int, np.ndarray], first: np.ndarray
) -> np.ndarray:
    """Returns [small, side]: weights of pixels first + offset, edges repeated."""
    matrix = np.zeros((small, side))
    for offset, weight in weights.items():
        neighbours = np.clip(first + offset, 0, side - 1)
        np.add.at(matrix, (np.arange(small), neighbours), weight)
    return matrix


def _centres(side: int, small: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of small pixels among large ones: index and fraction."""
    # In integers, so that a centre on a pixel is not rounded to the one before.
    numerator = (2 * np.arange(small) + 1) * side - small
    index = numerator // (2 * small)
    return index, numerator / (2 * small) - index


def _bilinear(side: int, small: int) -> np.ndarray:
    index, fraction = _centres(side, small)
    return _interpolate(side, small, {0: 1 - fraction, 1: fraction}, index)


def _bicubic(side: int, small: int) -> np.ndarray:
    """Returns the weights of Keys' cubic convolution."""
    a = -0.75

    def near(d: np.ndarray) -> np.ndarray:  # |d| <= 1
        return ((a + 2) * d - (a + 3)) * d**2 + 1

    def far(d: np.ndarray) -> np.ndarray:  # 1 <= |d| <= 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    index, fraction = _centres(side, small)
    weights = {
        -1: far(fraction + 1),
        0: near(fraction),
        1: near(1 - fraction),
        2: far(2 - fraction),
    }
    return _interpolate(side, small, weights, index)


def _area(side: int, small: int) -> np.ndarray:
    """Returns the equally weighted mean over all pixels that each cell touches."""
    cells = np.arange(small)[:, None]
    first, end = cells * side // small, -(-(cells + 1) * side // small)
    inside = (first <= np.arange(side)) & (np.arange(side) < end)
    return inside / inside.sum(axis=1, keepdims=True)


_DOWN = {"bicubic": _bicubic, "bilinear": _bilinear, "area": _area}


def _check_sizes(
    sizes: Sequence[int] | Sequence[Sequence[int]] | np.ndarray,
    image_size: tuple[int, int],
) -> np.ndarray:
    """Returns the (height, width) of every step as int64 [T, 2]."""
    values = np.asarray(sizes)
    if values.ndim == 1:
        values = np.stack([values, values], axis=1)
    if (
        values.ndim != 2
        or values.shape[1] != 2
        or not len(values)
        or not np.issubdtype(values.dtype, np.integer)
    ):
        raise ValueError(
            "sizes must list one integer or (height, width) per step, got "
            f"{sizes!r}; colddiff_jax.schedules.halving provides the usual ones"
        )
    wrong = ((values < 1) | (values > np.asarray(image_size))).any(axis=1)
    if wrong.any():
        step = int(np.argmax(wrong))
        raise ValueError(
            f"sizes must lie in 1..{image_size[0]} (height) and 1..{image_size[1]} "
            f"(width), got sizes[{step}] = {np.asarray(sizes)[step]}"
        )
    values = values.astype(np.int64)
    checks.check_order("sizes", values, "falling")
    return values
