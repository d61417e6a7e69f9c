"""Random colours that fill an image, one per example."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np


def check_color_range(color_range: tuple[float, float]) -> chex.Array:
    """Returns (low, high) as float32 [2] if they are bounds within [-1, 1]."""
    bounds = np.asarray(color_range)
    if (
        bounds.shape != (2,)
        or not np.issubdtype(bounds.dtype, np.number)
        or not -1 <= bounds[0] <= bounds[1] <= 1
    ):
        raise ValueError(
            f"color_range must be (low, high) within [-1, 1], got {color_range!r}"
        )
    return jnp.asarray(bounds, jnp.float32)


def draw_color(
    color_range: chex.Array, key: chex.PRNGKey, shape: Sequence[int]
) -> chex.Array:
    """Draws one uniform colour, float32 [1, 1, C], for an image of shape [H, W, C]."""
    low, high = color_range
    return jax.random.uniform(key, (1, 1, shape[-1]), minval=low, maxval=high)
