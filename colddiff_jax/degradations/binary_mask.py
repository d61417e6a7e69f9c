"""Binary masks that take pixels away in any given order, such as along a spiral."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations import base
from colddiff_jax.degradations.blend import check_color_range, draw_color


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class RankMask:
    """A mask that takes pixels in an order, D(x, t) = x where rank >= count_t, else c.

    Made by `rank_mask`.

    Attributes:
        ranks: int32 [H, W], numbered densely from 0.
        counts: int32 [T + 1]; step t takes the pixels of smaller rank.
        color_range: bounds of the colours, float32 [2], or None for c = 0.
        colors: c, float32 [B, 1, 1, C]; None before `bind`, or where c = 0.
        num_steps: T.
    """

    ranks: chex.Array
    counts: chex.Array
    color_range: chex.Array | None
    colors: chex.Array | None
    num_steps: int = dataclasses.field(metadata={"static": True})

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one colour per example, if colours fill the holes."""
        if self.color_range is None:
            return self
        keys = base.example_keys(key, shape[0])
        draw = jax.vmap(lambda key: draw_color(self.color_range, key, shape[1:]))
        return dataclasses.replace(self, colors=draw(keys))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """D(x, t) for float images x [B, H, W, C] and an integer t [] or [B].

        Raises:
            ValueError: `bind` was not called, or was called for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps, self.ranks.shape)
        colors: chex.Array = jnp.float32(0.0)
        if self.color_range is not None:
            colors = base.check_bound(self.colors, x, "a random colour")
        return base.keep_clean(x, jnp.where(self._left(x, t), x, colors), t)

    def pseudo_inverse(
        self, y: chex.Array, t: chex.Numeric, *, cutoff: float
    ) -> chex.Array:
        """Returns y where the pixel is left, else 0; see `Linear`."""
        del cutoff  # All singular values are 0 or 1.
        y, t = base.check_call(y, t, self.num_steps, self.ranks.shape)
        return jnp.where(self._left(y, t), y.astype(jnp.float32), 0.0)

    def _left(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Whether each pixel is still there, bool [B, H, W, 1]."""
        counts = self.counts[jnp.broadcast_to(t, x.shape[:1])]
        return (self.ranks[None] >= counts[:, None, None])[..., None]


def rank_mask(
    ranks: np.ndarray,
    counts: Sequence[int] | np.ndarray,
    *,
    color_range: tuple[float, float] | None = None,
) -> RankMask:
    """Makes a mask that takes pixels away in the order of their ranks.

        D(x, t) = M_t x + (1 - M_t) c,    M_t(u) = 1 if rank(u) >= counts_t else 0

    Ranks that number the pixels from 0 lose exactly counts_t pixels at step t. The
    masks are nested: what is gone stays gone. Two small tables hold all of them, so
    that a pixel a step is no more expensive than a few large steps.

    Args:
        ranks: a number per pixel, [H, W]; the lowest go first. `spiral_ranks` makes
            those of the official code, a permutation makes random ones.
        counts: one threshold per step, never shrinking; T is their number.
        color_range: bounds of the random colour c that fills the holes, one per image,
            in [-1, 1]; None fills them with c = 0, mid-grey.

    Returns:
        A degradation with T = len(counts): deterministic, or with a color_range one
        that must be bound before it is called.

    Raises:
        ValueError: ranks that are not one finite number per pixel, counts that shrink,
            or a wrong color_range.

    Example:
        >>> degrade = rank_mask(spiral_ranks(32), range(1, 1025))   # a pixel a step
        >>> ranks = np.random.default_rng(0).permutation(1024).reshape(32, 32)
        >>> scattered = rank_mask(ranks, [256, 512, 768])

    Reference:
        `Spiral` of `defading_diffusion_naive` in the official code, always 32 x 32
        there, and, with color_range=(0.0, 1.0), its `Spiral_2`. One of its samplers
        draws a new colour at every step; here one serves the whole trajectory.
    """
    values = np.asarray(ranks)
    if (
        values.ndim != 2
        or not values.size
        or not np.issubdtype(values.dtype, np.number)
        or not np.isfinite(values).all()
    ):
        raise ValueError(
            "ranks must be one finite number per pixel, [H, W], got an array of shape "
            f"{values.shape} and dtype {values.dtype}"
        )
    thresholds = base.check_schedule(
        "counts", counts, "numbers", lambda v: ~np.isnan(v), order="rising"
    )
    # Dense whole numbers compare exactly, whatever the ranks were.
    distinct, dense = np.unique(values, return_inverse=True)
    counted = np.searchsorted(distinct, thresholds, side="left")
    return RankMask(
        ranks=jnp.asarray(dense.reshape(values.shape), jnp.int32),
        counts=jnp.asarray(np.concatenate([[0], counted]), jnp.int32),
        color_range=None if color_range is None else check_color_range(color_range),
        colors=None,
        num_steps=len(thresholds),
    )


def spiral_ranks(image_size: int | Sequence[int]) -> np.ndarray:
    """Numbers the pixels along a spiral that winds outwards from the middle.

    It ends in the top right corner, having run clockwise around the image.

    Args:
        image_size: side of the images in pixels, or (height, width).

    Returns:
        int64 [H, W], a permutation of 0..H W - 1 with 0 in the middle.

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
