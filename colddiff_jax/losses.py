"""The training objective of Cold Diffusion."""

import chex
import jax.numpy as jnp

from colddiff_jax.degradations.base import Degradation
from colddiff_jax.sampling.walk import RestoreFn


def restoration_loss(
    restore_fn: RestoreFn, degrade: Degradation, x_0: chex.Array, t: chex.Array
) -> chex.Array:
    """How far the restorer stays from the clean images, per example.

        L_b = mean over pixels and channels of |R(D(x_0, t), t) - x_0|

    Args:
        restore_fn: R, called with x_t [B, H, W, C] and t int32 [B].
        degrade: D, bound if it is random.
        x_0: clean images, float [B, H, W, C], in [-1, 1].
        t: steps, int32 [B], in 1..T.

    Returns:
        L, float32 [B], non-negative; 2 is the distance between black and white.

    Example:
        >>> loss = restoration_loss(restore_fn, degrade, x, t).mean()

    Reference:
        Bansal et al. (2022), section 3.1: min E |R(D(x, t), t) - x|_1, with t uniform
        and no weights.
    """
    chex.assert_rank([x_0, t], [4, 1])
    x0_hat = restore_fn(degrade(x_0, t), t)
    chex.assert_equal_shape([x0_hat, x_0])
    return jnp.abs(x0_hat - x_0).mean(axis=(1, 2, 3))
