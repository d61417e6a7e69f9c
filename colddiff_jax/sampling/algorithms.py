"""The two algorithms of the paper, and direct restoration by one prediction."""

from collections.abc import Sequence
from typing import Any, Literal

import chex
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import Degradation
from colddiff_jax.sampling.timesteps import Restart, check_timesteps
from colddiff_jax.sampling.trajectory import (
    RestoreFn,
    SampleResult,
    StepInput,
    scan_trajectory,
)


def sample_alg2(
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
    """Restores x_T by Algorithm 2, which tolerates an imperfect restorer.

        x0_hat = R(x_t, t)
        x_s    = x_t - D(x0_hat, t) + D(x0_hat, s)

    If D is linear and D(D(x, s), T) = D(x, T) (nested binary masks, area pixelation
    with halved sides, full desaturation), then D(x_0, T) = x_T for any restorer: the
    observation is never altered.

    Args:
        restore_fn: R, called with x_t [B, H, W, C] and t int32 [B]; returns x0_hat of
            the same shape and dtype.
        degrade: D, the degradation that produced x_T, bound if it is random.
        x_T: degraded images, float [B, H, W, C], in [-1, 1].
        key: unused; accepted so that this sampler can replace one that draws noise.
        timesteps: strictly decreasing integers that end in 0, by default T, T - 1, ...,
            0; an integer N takes N steps of equal stride. Fewer steps are coarser and
            cheaper: each calls the network once.
        start: the step of x_T if it is less than T; the timesteps then begin there.
        endpoint: for a blend, "fixed" keeps the endpoint of `degrade` and "estimated"
            solves for it at every step. If the endpoint is an image or noise,
            "estimated" turns both algorithms into deterministic DDIM.
        last_step: "full", or "direct" to end in the last prediction x0_hat itself.
        restart: goes back up, x_high = D(R(x_low, low), high), and down again, which
            discards the errors made above `low` except those of one prediction. Both
            steps must be among the timesteps. Adapted from Restart sampling, Xu et al.
            (2023), arXiv:2306.14878, which `sample_ddim` implements exactly.
        check_finite: whether to raise a FloatingPointError that names the first step
            with NaN or infinity; inside `jit` the result records the step instead.
        return_trajectory: whether to return the x_t as well.
        trajectory_every: k, to return only every k-th x_t, starting at x_T, and x_0.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: timesteps that do not decrease strictly from at most T to 0, a
            number of steps outside 1..start, a start outside 1..T, an unknown endpoint
            or last step, or a restorer that changes the shape.
        TypeError: a restorer that changes the dtype, images that are not float, or an
            estimated endpoint of a degradation that has none.

    Example:
        >>> x_T = degrade(x, t=degrade.num_steps)
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T).x_0

    Reference:
        Bansal et al. (2022), Algorithm 2 and section 3.3. Ending in the prediction is
        the default of DYffusion, Cachay et al. (2023), arXiv:2306.01984.
    """

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, _ = inputs
        return x_t - D(x0_hat, t) + D(x0_hat, s), state

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


def sample_alg1(
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
    """Restores x_T by Algorithm 1, which degrades every prediction again.

        x0_hat = R(x_t, t)
        x_s    = D(x0_hat, s)

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D.
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
        >>> x_0 = sample_alg1(restore_fn, degrade, x_T, timesteps=[20, 10, 0]).x_0

    Reference:
        Bansal et al. (2022), Algorithm 1.
    """

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        return inputs.degrade(inputs.x0_hat, inputs.s), state

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


def restore_direct(
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
    """Restores x_T by a single prediction, x_0 = R(x_T, T).

    This is one step of Algorithm 1. It accepts the options of the other samplers so
    that it can replace any of them.

    Args:
        restore_fn: as in `sample_alg2`.
        degrade: D; only its number of steps T is used.
        x_T: degraded images, float [B, H, W, C], in [-1, 1].
        key: unused.
        timesteps: only the first is used, as the step of x_T.
        start: the step of x_T if it is less than T.
        endpoint: unused.
        last_step: unused.
        restart: unused.
        check_finite: as in `sample_alg2`.
        return_trajectory: whether to return x_T and x_0 as the trajectory.
        trajectory_every: unused.

    Returns:
        A `SampleResult` whose `x_0` and `direct` are that one prediction.

    Raises:
        ValueError: a start outside 1..T, or a restorer that changes the shape.
        TypeError: a restorer that changes the dtype, or images that are not float.

    Example:
        >>> x_0 = restore_direct(restore_fn, degrade, x_T).x_0

    Reference:
        Bansal et al. (2022), section 4 ("direct reconstruction").
    """
    first = check_timesteps(timesteps, start, getattr(degrade, "num_steps", None))[0]

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        return inputs.x0_hat, state

    return scan_trajectory(
        step,
        restore_fn,
        degrade,
        x_T,
        timesteps=jnp.stack([first, 0]),
        start=None,
        endpoint="fixed",
        last_step="full",
        restart=None,
        check_finite=check_finite,
        return_trajectory=return_trajectory,
        trajectory_every=1,
    )
