"""Second-order versions of Algorithm 2.

Where D is linear, D(x, t) = A_t x, Algorithm 2 is Euler's method for

    dx = dA_t R(x_t, t)

along the degradation: x_s = x_t + (A_s - A_t) x0_hat. Better quadratures of R follow as
for any differential equation; each of them needs fewer steps for the same error where R
is smooth. With a perfect restorer all of them are exact, as Algorithm 2 is.
"""

from typing import Any, Unpack

import chex
import jax
import jax.numpy as jnp

from colddiff_jax.degradations.base import Degradation, check_images
from colddiff_jax.sampling.walk import (
    Place,
    RestoreFn,
    SampleResult,
    WalkOptions,
    predict,
    walk,
)


def sample_heun(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    **options: Unpack[WalkOptions],
) -> SampleResult:
    """Restores x_T by Algorithm 2 with Heun's method.

        x0_hat = R(x_t, t),    x_s' = x_t - D(x0_hat, t) + D(x0_hat, s)
        mean   = (x0_hat + R(x_s', s)) / 2
        x_s    = x_t - D(mean, t) + D(mean, s)

    The last step, to s = 0, is that of Algorithm 2: R has no step 0. N steps therefore
    cost 2 N - 1 network calls.

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D; the method is of second order where it is linear in x.
        x_T: degraded images.
        **options: as in `sample_alg2`.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: as in `sample_alg2`.
        TypeError: as in `sample_alg2`.

    Example:
        >>> x_0 = sample_heun(restore_fn, degrade, x_T, timesteps=[20, 10, 0]).x_0

    Reference:
        Heun's method as in Karras et al. (2022), arXiv:2206.00364, algorithm 1, for the
        equation of this module; not in the paper.
    """

    def step(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, _ = place

        def towards(image: chex.Array) -> chex.Array:
            return (x_t - D(image, t) + D(image, s)).astype(x_t.dtype)

        def corrected() -> chex.Array:
            return towards((x0_hat + predict(restore_fn, towards(x0_hat), s)) / 2)

        return jax.lax.cond(s > 0, corrected, lambda: towards(x0_hat)), memory

    return walk(step, restore_fn, degrade, x_T, **options)


def sample_ab2(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    **options: Unpack[WalkOptions],
) -> SampleResult:
    """Restores x_T by Algorithm 2 with the two-step method of Adams and Bashforth.

        x0_hat = R(x_t, t)
        ahead  = x0_hat + (t - s) / (u - t) / 2 (x0_hat - R(x_u, u))
        x_s    = x_t - D(ahead, t) + D(ahead, s)

    where u is the step visited before t. Predictions are continued along a line to the
    middle of the next step, at no further network call; the first step, and the first
    after a restart, is that of Algorithm 2.

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D; the method is of second order where it is linear in x.
        x_T: degraded images.
        **options: as in `sample_alg2`.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: as in `sample_alg2`.
        TypeError: as in `sample_alg2`.

    Example:
        >>> x_0 = sample_ab2(restore_fn, degrade, x_T, timesteps=[20, 10, 0]).x_0

    Reference:
        The linear multistep method of Liu et al. (2022), PNDM, arXiv:2202.09778, at
        second order, for the equation of this module; not in the paper.
    """
    x_T = check_images(x_T)

    def step(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, _ = place
        before, u = memory
        # No line through one point: at the start, u = 0, and after a restart.
        ratio = jnp.where(u > t, (t - s) / jnp.maximum(u - t, 1) / 2, 0.0)
        ahead = (x0_hat + ratio * (x0_hat - before)).astype(x_t.dtype)
        return x_t - D(ahead, t) + D(ahead, s), (x0_hat, t)

    memory = (jnp.zeros_like(x_T), jnp.int32(0))
    return walk(step, restore_fn, degrade, x_T, memory, **options)
