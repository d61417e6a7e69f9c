"""Networks that are given the image that x_t is blended with, as more channels."""

from typing import Any

import chex
import jax.numpy as jnp

from colddiff_jax.models.preconditioning import Around


class TwoImages(Around):
    """Network of x_t and y for `Seeing`: the first channels of F([x_t, y], t).

    Attributes:
        network: F, called with twice the channels of an image; those that it returns
            beyond one image do not count.
    """

    def __call__(
        self, x: chex.Array, t: chex.Array, *, other: chex.Array, **options: Any
    ) -> chex.Array:
        """Predicts the target from x, float [B, H, W, C], and y, like x."""
        both = jnp.concatenate([x, other.astype(x.dtype)], axis=-1)
        return self.network(both, t, **options)[..., : x.shape[-1]]


class Seeing(Around):
    """Restorer that sees y, as a network of images with twice the channels.

        [x_t, y]  ->  [R(x_t, t, y), y]

    It leaves y as it is, so that guidance and tiles, which know nothing of y, work.

    Attributes:
        network: R, a `TwoImages`, or a `Preconditioned` one.
    """

    def __call__(self, x: chex.Array, t: chex.Array, **options: Any) -> chex.Array:
        """Predicts the target in the first half of the channels."""
        x_t, y = jnp.split(x, 2, axis=-1)
        predicted = self.network(x_t, t, other=y, **options)
        return jnp.concatenate([predicted, y.astype(predicted.dtype)], axis=-1)
