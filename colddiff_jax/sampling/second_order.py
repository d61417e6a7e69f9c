"""Second-order versions of Algorithm 2.

Where D is linear, D(x, t) = A_t x, Algorithm 2 is Euler's method for

    dx = dA_t R(x_t, t)

along the degradation: x_s = x_t + (A_s - A_t) x0_hat. As for any differential equation,
a method of higher order needs fewer steps for the same error where R is smooth. With a
perfect restorer all these methods are exact, as Algorithm 2 is.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, cast

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images
from colddiff_jax.degradations.base import Degradation, WithEndpoint
from colddiff_jax.sampling.timesteps import Restart
from colddiff_jax.sampling.trajectory import (
    RestoreFn,
    SampleResult,
    StepInput,
    predict,
    scan_trajectory,
)


def sample_heun(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    key: chex.PRNGKey | None = None,
    timesteps: Sequence[int] | np.ndarray | int | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
    restart: Restart | None = None,
    check_finite: bool = False,
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Restores x_T by Algorithm 2 with Heun's method.

        x0_hat = R(x_t, t),    x_s' = x_t - D(x0_hat, t) + D(x0_hat, s)
        mean   = (x0_hat + R(x_s', s)) / 2
        x_s    = x_t - D(mean, t) + D(mean, s)

    An estimated endpoint is averaged like the prediction. The last step, to s = 0, is a
    step of Algorithm 2, since R is not defined at step 0. N steps therefore cost
    2 N - 1 network calls.

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D; the method is of second order if D is linear in x.
        x_T: degraded images.
        key: unused.
        timesteps: which steps to visit; this and all further arguments are as in
            `sample_alg2`.
        start: the step of x_T.
        endpoint: whether to estimate the endpoint of a blend.
        last_step: how to end.
        restart: which steps to repeat.
        check_finite: whether to check for NaN and infinity.
        return_trajectory: whether to return the x_t.
        trajectory_every: which x_t to return.

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
    estimated = endpoint == "estimated"

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, _ = inputs

        def corrected() -> chex.Array:
            x_s = _euler_step(D, x_t, x0_hat, t, s)
            at_s = predict(restore_fn, x_s, s)
            mean_D = D
            if estimated:  # The endpoint is a prediction, too.
                z, z_s = _endpoint(D, x_t, x0_hat, t), _endpoint(D, x_s, at_s, s)
                mean_D = cast(WithEndpoint, D).with_endpoint((z + z_s) / 2)
            return _euler_step(mean_D, x_t, (x0_hat + at_s) / 2, t, s)

        euler = functools.partial(_euler_step, D, x_t, x0_hat, t, s)
        return jax.lax.cond(s > 0, corrected, euler), state

    return scan_trajectory(
        step,
        restore_fn,
        degrade,
        x_T,
        timesteps=timesteps,
        start=start,
        endpoint=endpoint,
        last_step=last_step,
        restart=restart,
        check_finite=check_finite,
        return_trajectory=return_trajectory,
        trajectory_every=trajectory_every,
    )


def sample_ab2(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    key: chex.PRNGKey | None = None,
    timesteps: Sequence[int] | np.ndarray | int | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
    restart: Restart | None = None,
    check_finite: bool = False,
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Restores x_T by Algorithm 2 with the two-step Adams-Bashforth method.

        x0_hat = R(x_t, t)
        ahead  = x0_hat + (t - s) / (u - t) / 2 (x0_hat - R(x_u, u))
        x_s    = x_t - D(ahead, t) + D(ahead, s)

    where u is the step visited before t. Predictions, and estimated endpoints, are
    extrapolated linearly to the middle of the next step, without another network call;
    the first step, and the first after a restart, are steps of Algorithm 2.

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D; the method is of second order if D is linear in x.
        x_T: degraded images.
        key: unused.
        timesteps: which steps to visit; this and all further arguments are as in
            `sample_alg2`.
        start: the step of x_T.
        endpoint: whether to estimate the endpoint of a blend.
        last_step: how to end.
        restart: which steps to repeat.
        check_finite: whether to check for NaN and infinity.
        return_trajectory: whether to return the x_t.
        trajectory_every: which x_t to return.

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
    estimated = endpoint == "estimated"

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, _ = inputs
        x_u, before, u = state
        # At the start (u = 0) and after a restart there is no earlier prediction.
        ratio = jnp.where(u > t, (t - s) / jnp.maximum(u - t, 1) / 2, 0.0)
        ahead = (x0_hat + ratio * (x0_hat - before)).astype(x_t.dtype)
        if estimated:  # The endpoint is a prediction, too.
            z, z_u = _endpoint(D, x_t, x0_hat, t), _endpoint(D, x_u, before, u)
            D = cast(WithEndpoint, D).with_endpoint(z + ratio * (z - z_u))
        return _euler_step(D, x_t, ahead, t, s), (x_t, x0_hat, t)

    state = (jnp.zeros_like(x_T), jnp.zeros_like(x_T), jnp.int32(0))
    return scan_trajectory(
        step,
        restore_fn,
        degrade,
        x_T,
        state,
        timesteps=timesteps,
        start=start,
        endpoint=endpoint,
        last_step=last_step,
        restart=restart,
        check_finite=check_finite,
        return_trajectory=return_trajectory,
        trajectory_every=trajectory_every,
    )


def _euler_step(
    D: Degradation, x_t: chex.Array, x0_hat: chex.Array, t: chex.Array, s: chex.Array
) -> chex.Array:
    """Returns the x_s of Algorithm 2 in the dtype of x_t."""
    return (x_t - D(x0_hat, t) + D(x0_hat, s)).astype(x_t.dtype)


def _endpoint(
    D: Degradation, x_t: chex.Array, x0_hat: chex.Array, t: chex.Array
) -> chex.Array:
    """Returns the endpoint that explains x_t by the prediction."""
    return cast(WithEndpoint, D).estimate_endpoint(x_t, x0_hat, t)
