"""What a restorer R(x_t, t) is trained to predict."""

from typing import Literal

import chex
import jax.numpy as jnp

from colddiff_jax.degradations.base import Degradation, endpoint_kind

Target = Literal["clean", "previous"]
"""The clean image, or the image of the step before."""
Compare = Literal["predictions", "degraded"]
"""Whether predictions are compared with the target, or degraded predictions are."""


def prediction_errors(
    degrade: Degradation,
    predicted: chex.Array,
    x_0: chex.Array,
    t: chex.Array,
    *,
    target: Target = "clean",
    compare: Compare = "predictions",
) -> chex.Array:
    """Returns the differences of which a loss takes the distance.

        "predictions":  R(x_t, t) - y
        "degraded":     D(R(x_t, t), t) - D(x_0, t)

    Args:
        degrade: D, bound if it is random; its noise cancels.
        predicted: R(x_t, t), float [B, H, W, C].
        x_0: clean images, like the predictions.
        t: the step of x_t, integer [] or [B], in 1..T.
        target: y, of `target_images`.
        compare: which of them.

    Returns:
        Differences like x_0.

    Reference:
        "degraded": Daras et al. (2022), "Soft Diffusion", arXiv:2209.05442, section 3,
        soft score matching.
    """
    if compare == "degraded":
        mean = without_noise(degrade)
        return mean(predicted, t) - mean(x_0, t)
    return predicted - target_images(degrade, x_0, t, target)


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
