"""Restorers of images that are too large for one call of the network."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images, check_integer
from colddiff_jax.reprs import short_repr
from colddiff_jax.sampling.trajectory import RestoreFn


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tiled:
    """A restorer that calls another one on overlapping tiles, one after the other.

        R(x_t, t) = sum_i w_i R_i,    sum_i w_i = 1

    where R_i is the prediction for tile i, and the weights w_i rise and fall smoothly
    across the overlap of two tiles, so that there are no seams. Only one tile is in the
    network at a time: besides the images, memory does not depend on their size. It is a
    pytree if `restore_fn` is one, and works in every sampler, which blends anew at
    every step.

    Attributes:
        restore_fn: R; a `jax.tree_util.Partial` if this crosses `jit` as an argument.
        tile: side of the tiles in pixels, a multiple of `multiple`. Images of this size
            or less are restored in one call.
        overlap: the least number of pixels that neighbours share, less than `tile`. The
            outer quarter on each side has no weight: there the network sees too little
            of the surroundings.
        multiple: tiles begin at multiples of this number of pixels; the image sides
            must be multiples, too. That of the network's patches and halvings, and of
            the blocks of pixelated images.

    Raises:
        ValueError: a number that is not a positive integer, a tile that is not a
            multiple or not larger than the overlap by at least `multiple`.

    Example:
        >>> large = Tiled(restore_fn, tile=16, overlap=8, multiple=4)
        >>> x = jnp.zeros((1, 40, 24, 3))
        >>> large(x, jnp.array([5])).shape
        (1, 40, 24, 3)
    """

    restore_fn: RestoreFn
    tile: int = dataclasses.field(metadata={"static": True})
    overlap: int = dataclasses.field(metadata={"static": True})
    multiple: int = dataclasses.field(default=1, metadata={"static": True})

    def __repr__(self) -> str:
        return short_repr(self)

    def __post_init__(self) -> None:
        for name in ("tile", "overlap", "multiple"):
            check_integer(name, getattr(self, name))
        if self.tile % self.multiple or self.tile - self.overlap < self.multiple:
            raise ValueError(
                f"tile must be a multiple of {self.multiple} and at least "
                f"{self.overlap + self.multiple}, the overlap and one step, got "
                f"{self.tile}"
            )

    def __call__(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Predicts the clean images; see `RestoreFn`."""
        x = check_images(x)
        height, width = x.shape[1:3]
        if max(height, width) <= self.tile:
            return self.restore_fn(x, t)
        for side in (height, width):
            if side % self.multiple:
                raise ValueError(
                    f"image sides must be multiples of {self.multiple}, got {height} x "
                    f"{width}; pad the images"
                )
        tops, row_weights = self._along(height)
        lefts, column_weights = self._along(width)
        shape = (len(x), row_weights.shape[1], column_weights.shape[1], x.shape[3])

        def add_tile(
            total: chex.Array, place: tuple[chex.Array, chex.Array]
        ) -> tuple[chex.Array, None]:
            row, column = place
            corner = (0, tops[row], lefts[column], 0)
            weights = row_weights[row][:, None] * column_weights[column][None, :]
            part = jax.lax.dynamic_slice(x, corner, shape)
            part = self.restore_fn(part, t) * weights[None, :, :, None]
            part += jax.lax.dynamic_slice(total, corner, shape)
            return jax.lax.dynamic_update_slice(total, part, corner), None

        rows, columns = np.indices((len(tops), len(lefts))).reshape(2, -1)
        places = (jnp.asarray(rows), jnp.asarray(columns))
        total, _ = jax.lax.scan(add_tile, jnp.zeros_like(x), places)
        return total

    def _along(self, side: int) -> tuple[chex.Array, chex.Array]:
        """Returns the first pixels of the tiles on an axis, and their weights."""
        length = min(self.tile, side)
        stride = (self.tile - self.overlap) // self.multiple * self.multiple
        starts = [*range(0, side - length, stride), side - length]
        # From 0 to 1 between a quarter and three quarters of the overlap.
        pixels = np.arange(length) + 0.5
        ramp = np.clip(2 * pixels / self.overlap - 0.5, 0, 1)
        ramp = np.sin(np.pi / 2 * ramp) ** 2
        windows = np.zeros((len(starts), side))
        for start, window in zip(starts, windows, strict=True):
            weights = window[start : start + length]
            weights[:] = 1
            if start > 0:
                weights *= ramp
            if start + length < side:
                weights *= ramp[::-1]
        windows /= windows.sum(axis=0)
        cut = [w[s : s + length] for s, w in zip(starts, windows, strict=True)]
        return jnp.asarray(starts), jnp.asarray(np.stack(cut), jnp.float32)
