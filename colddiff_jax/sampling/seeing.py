"""Restorers that see the image that x_t is blended with."""

import dataclasses

import chex
import jax
import jax.numpy as jnp

from colddiff_jax.reprs import short_repr
from colddiff_jax.sampling.trajectory import RestoreFn


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SeesImage:
    """A restorer of x_t that is also given another image y, the same at every step.

        R(x_t, t) = first half of the channels of F([x_t, y], t)

    Attributes:
        restore_fn: F, a function of images with twice the channels; a
            `jax.tree_util.Partial` if this crosses `jit` as an argument.
        image: y, float [B, H, W, C].
    """

    restore_fn: RestoreFn
    image: chex.Array

    def __repr__(self) -> str:
        return short_repr(self)

    def __call__(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Predicts the clean images; see `RestoreFn`."""
        both = jnp.concatenate([x, self.image.astype(x.dtype)], axis=-1)
        return self.restore_fn(both, t)[..., : x.shape[-1]]
