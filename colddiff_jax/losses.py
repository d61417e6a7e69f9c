"""The training objective of Cold Diffusion and its pixel-wise distances."""

from collections.abc import Callable

import chex
import jax.numpy as jnp

from colddiff_jax.checks import check_images
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.degradations.targets import Compare, Target, prediction_errors
from colddiff_jax.sampling.trajectory import RestoreFn

Distance = Callable[[chex.Array], chex.Array]
"""Maps differences of pixel values to penalties of the same shape."""


def l1() -> Distance:
    """Absolute error |d|, the distance used in the paper.

    Example:
        >>> l1()(jnp.array([-0.5, 1.0]))
        Array([0.5, 1. ], dtype=float32)
    """
    return jnp.abs


def l2() -> Distance:
    """Squared error d^2, minimised by the mean of all clean images that x_t allows.

    Example:
        >>> l2()(jnp.array([-0.5, 1.0]))
        Array([0.25, 1.  ], dtype=float32)
    """
    return jnp.square


def pseudo_huber(*, scale: float) -> Distance:
    """Pseudo-Huber distance sqrt(d^2 + c^2) - c.

    It is close to d^2 / (2 c) for small d and to |d| - c for large d.

    Args:
        scale: c, positive, in the units of pixel values, which range from -1 to 1.

    Returns:
        A distance for `restoration_loss`.

    Raises:
        ValueError: c is not positive.

    Example:
        >>> pseudo_huber(scale=0.1)(jnp.array([0.0, 1.0]))
        Array([0.       , 0.9049876], dtype=float32)

    Reference:
        Charbonnier et al. (1994), "Two deterministic half-quadratic regularization
        algorithms for computed imaging".
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale!r}")
    return lambda d: jnp.sqrt(jnp.square(d) + scale**2) - scale


DISTANCES: dict[str, Callable[..., Distance]] = {
    "l1": l1,
    "l2": l2,
    "pseudo_huber": pseudo_huber,
}


def restoration_loss(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_0: chex.Array,
    t: chex.Array,
    *,
    distance: Distance = jnp.abs,
    target: Target = "clean",
    compare: Compare = "predictions",
) -> chex.Array:
    """Measures the mean distance of the restored from the clean images, per example.

        L_b = mean over pixels and channels of distance(R(D(x_0, t), t) - y)

    Args:
        restore_fn: R, called with x_t [B, H, W, C] and t int32 [B].
        degrade: D, bound if it is random.
        x_0: clean images, float [B, H, W, C], in [-1, 1].
        t: steps, int32 [B], in 1..T.
        distance: pixel-wise distance, such as `jnp.abs` or `pseudo_huber(scale=0.1)`.
        target: y, "clean" for x_0, or "previous" for the mean of D(x_0, t - 1) over its
            noise, which `sample_ihd` needs.
        compare: "predictions", or "degraded" for the distance of D(R(D(x_0, t), t), t)
            from D(x_0, t), both without noise; then the target is "clean".

    Returns:
        L, float32 [B], non-negative; in absolute error, black and white are 2 apart.

    Raises:
        TypeError: images that are not floating point.
        ValueError: images that are empty or not [B, H, W, C].

    Example:
        >>> loss = restoration_loss(restore_fn, degrade, x, t).mean()

    Reference:
        Bansal et al. (2022), section 3.1: min E |R(D(x, t), t) - x|_1, with uniform
        t and no weighting. The target "previous": Rissanen et al. (2022),
        arXiv:2206.13397, section 3. Compared after the degradation: Daras et al.
        (2022), arXiv:2209.05442.
    """
    x_0 = check_images(x_0)
    chex.assert_rank(t, 1)
    predicted = restore_fn(degrade(x_0, t), t)
    chex.assert_equal_shape([predicted, x_0])
    errors = prediction_errors(
        degrade, predicted, x_0, t, target=target, compare=compare
    )
    return distance(errors).mean(axis=(1, 2, 3))
