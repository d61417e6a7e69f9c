"""What a restorer R(x_t, t) is trained to predict."""

from typing import Literal

import chex
import jax.numpy as jnp

from colddiff_jax.degradations.base import Degradation, endpoint_kind

Target = Literal["clean", "previous"]
"""The clean image, or the image of the step before."""


def target_images(
    degrade: Degradation, x_0: chex.Array, t: chex.Array, target: Target
) -> chex.Array:
    """Returns what R(x_t, t) is trained to predict.

        "clean":     x_0
        "previous":  the mean of D(x_0, t - 1) over its noise

    Args:
        degrade: D, bound if it is random.
        x_0: clean images, float [B, H, W, C].
        t: the step of x_t, integer [] or [B], in 1..T.
        target: which of them.

    Returns:
        Images like x_0.
    """
    return x_0 if target == "clean" else without_noise(degrade)(x_0, t - 1)


def without_noise(degrade: Degradation) -> Degradation:
    """Returns the mean of a degradation over its noise, or D itself without noise."""
    if endpoint_kind(degrade) != "noise":
        return degrade
    return degrade.with_endpoint(jnp.zeros((1, 1, 1, 1)))  # type: ignore[attr-defined]
