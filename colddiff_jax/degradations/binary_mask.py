"""Binary masks that remove pixels in a given order, such as along a spiral."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.colors import check_color_range, draw_color


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class RankMask:
    """A mask that removes pixels in order: D(x, t) = x where rank >= count_t, else c.

    Made by `rank_mask`.

    Attributes:
        ranks: int32 [H, W], consecutive from 0.
        counts: int32 [T + 1]; at step t the pixels with smaller ranks are removed.
        color_range: bounds of the colours, float32 [2], or None for c = 0.
        colors: c, float32 [B, 1, 1, C]; None before `bind`, or if c = 0.
        num_steps: T.

    Example:
        >>> degrade = rank_mask(spiral_ranks(3), [4, 9])
        >>> degrade(jnp.ones((1, 3, 3, 1)), t=1)[0, ..., 0]
        Array([[1., 1., 1.],
               [1., 0., 0.],
               [1., 0., 0.]], dtype=float32)
    """

    ranks: chex.Array
    counts: chex.Array
    color_range: chex.Array | None
    colors: chex.Array | None
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return base.describe("rank_mask", self.num_steps, np.shape(self.ranks))

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one fill colour per example, or returns self if c = 0."""
        if self.color_range is None:
            return self
        keys = prng.keys_per_example(key, shape[0])
        draw = jax.vmap(lambda key: draw_color(self.color_range, key, shape[1:]))
        return dataclasses.replace(self, colors=draw(keys))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: `bind` was not called, or was called for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps, self.ranks.shape)
        colors: chex.Array = jnp.float32(0.0)
        if self.color_range is not None:
            colors = base.check_bound(self.colors, x, "a random colour")
        return base.keep_clean(x, jnp.where(self._remaining(x, t), x, colors), t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns y where the pixel remains, else 0; see `Linear`."""
        y, t = base.check_call(y, t, self.num_steps, self.ranks.shape)
        remaining = self._remaining(y, t).astype(jnp.float32)
        return base.divide(y.astype(jnp.float32), remaining, cutoff, damping)

    def _remaining(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Returns whether each pixel remains at step t, bool [B, H, W, 1]."""
        counts = self.counts[jnp.broadcast_to(t, x.shape[:1])]
        return (self.ranks[None] >= counts[:, None, None])[..., None]


def rank_mask(
    ranks: np.ndarray,
    counts: Sequence[int] | np.ndarray,
    *,
    color_range: tuple[float, float] | None = None,
) -> RankMask:
    """Makes a mask that removes pixels in the order of their ranks.

        D(x, t) = M_t x + (1 - M_t) c,    M_t(u) = 1 if rank(u) >= counts_t else 0

    If the ranks are a permutation of 0..H W - 1, exactly counts_t pixels are missing at
    step t. The masks are nested: removed pixels stay removed. Two small tables hold all
    masks, so one pixel per step costs no more than a few large steps.

    Args:
        ranks: one number per pixel, [H, W]; the lowest are removed first. Use
            `spiral_ranks` for the order of the official code, or a permutation.
        counts: one threshold per step, non-decreasing.
        color_range: bounds in [-1, 1] of the random fill colour c, one per image; None
            fills with c = 0, mid-grey.

    Returns:
        A deterministic degradation with T = len(counts) or, with a color_range, one
        that must be bound before it is called.

    Raises:
        ValueError: ranks that are not one finite number per pixel, counts that
            decrease, or an invalid color_range.

    Example:
        >>> degrade = rank_mask(spiral_ranks(32), range(1, 1025))   # one pixel per step
        >>> ranks = np.random.default_rng(0).permutation(1024).reshape(32, 32)
        >>> scattered = rank_mask(ranks, [256, 512, 768])

    Reference:
        `Spiral` of `defading_diffusion_naive` in the official code, always 32 x 32
        there, and, with color_range=(0.0, 1.0), its `Spiral_2`. One of its samplers
        draws a new colour at every step; here the whole trajectory uses the same one.
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
    thresholds = checks.check_schedule(
        "counts", counts, "real", lambda v: ~np.isnan(v), order="rising"
    )
    # Dense integers compare exactly, whatever the dtype of the ranks.
    distinct, dense = np.unique(values, return_inverse=True)
    dense_counts = np.searchsorted(distinct, thresholds, side="left")
    return RankMask(
        ranks=jnp.asarray(dense.reshape(values.shape), jnp.int32),
        counts=jnp.asarray(np.concatenate([[0], dense_counts]), jnp.int32),
        color_range=None if color_range is None else check_color_range(color_range),
        colors=None,
        num_steps=len(thresholds),
    )


def spiral_ranks(image_size: int | Sequence[int]) -> np.ndarray:
    """Numbers the pixels along a spiral that winds clockwise outwards from the middle.

    The spiral ends in the top right corner.

    Args:
        image_size: side of the images in pixels, or (height, width).

    Returns:
        int64 [H, W], a permutation of 0..H W - 1, with 0 in the middle.

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
    height, width = checks.check_image_size(image_size)
    remaining = np.arange(height * width).reshape(height, width)
    inwards = []
    while remaining.size:  # Take the top row from right to left, rotate the rest.
        inwards.append(remaining[0, ::-1])
        remaining = np.rot90(remaining[1:], -1)
    ranks = np.empty(height * width, np.int64)
    ranks[np.concatenate(inwards)] = np.arange(height * width)[::-1]
    return ranks.reshape(height, width)
