"""Binary masks that take pixels away in any given order, such as along a spiral."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations import base
from colddiff_jax.degradations.blend import Blend, color_blend
from colddiff_jax.degradations.mask import Mask


def rank_mask(
    ranks: np.ndarray,
    counts: Sequence[int] | np.ndarray,
    *,
    color_range: tuple[float, float] | None = None,
) -> Mask | Blend:
    """Makes a mask that takes pixels away in the order of their ranks.

        D(x, t) = M_t x + (1 - M_t) c,    M_t(u) = 1 if rank(u) >= counts_t else 0

    Ranks that number the pixels from 0 lose exactly counts_t pixels at step t. The
    masks are nested: what is gone stays gone.

    Args:
        ranks: a number per pixel, [H, W]; the lowest go first. `spiral_ranks` makes
            those of the official code, a permutation makes random ones.
        counts: one threshold per step, never shrinking; T is their number.
        color_range: bounds of the random colour c that fills the holes, one per image;
            None fills them with c = 0, mid-grey.

    Returns:
        A degradation with T = len(counts): deterministic, or with a color_range one
        that must be bound before it is called.

    Raises:
        ValueError: ranks that are not one finite number per pixel, counts that shrink.

    Example:
        >>> degrade = rank_mask(spiral_ranks(32), range(1, 1025))   # a pixel a step
        >>> ranks = np.random.default_rng(0).permutation(1024).reshape(32, 32)
        >>> scattered = rank_mask(ranks, [256, 512, 768])

    Reference:
        `Spiral` of `defading_diffusion_naive` in the official code, and, with
        color_range=(0.0, 1.0), its `Spiral_2`. Its masks are always 32 x 32.
    """
    ranks = np.asarray(ranks, np.float64)
    if ranks.ndim != 2 or not ranks.size or not np.isfinite(ranks).all():
        raise ValueError(
            "ranks must be one finite number per pixel, [H, W], got an array of shape "
            f"{ranks.shape}"
        )
    thresholds = base.check_schedule(
        "counts", counts, "numbers", lambda v: ~np.isnan(v), order="rising"
    )
    masks = ranks >= np.concatenate([[-np.inf], thresholds])[:, None, None]
    if color_range is not None:
        return color_blend(masks.astype(np.float64), color_range)
    return Mask(masks=jnp.asarray(masks, jnp.float32), num_steps=len(thresholds))


def spiral_ranks(image_size: int | Sequence[int]) -> np.ndarray:
    """Numbers the pixels along a spiral that winds outwards from the middle.

    It ends in the top right corner, having run clockwise around the image.

    Args:
        image_size: side of the images in pixels, or (height, width).

    Returns:
        int [H, W], a permutation of 0..H W - 1 with 0 in the middle.

    Raises:
        ValueError: a side that is not a positive integer.

    Example:
        >>> spiral_ranks(3)
        array([[6, 7, 8],
               [5, 0, 1],
               [4, 3, 2]])

    Reference:
        `to_spiral` of `defading_diffusion_naive` in the official code.
    """
    height, width = base.check_image_size(image_size)
    left = np.arange(height * width).reshape(height, width)
    inwards = []
    while left.size:  # Take the top row from right to left, then turn what is left.
        inwards.append(left[0, ::-1])
        left = np.rot90(left[1:], -1)
    ranks = np.empty(height * width, np.int64)
    ranks[np.concatenate(inwards)] = np.arange(height * width)[::-1]
    return ranks.reshape(height, width)
