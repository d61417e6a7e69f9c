"""The sampler of inverse heat dissipation, for restorers that predict the last step."""

from collections.abc import Sequence
from typing import Any, Literal

import chex
import jax
import numpy as np

from colddiff_jax.checks import check_images, check_number
from colddiff_jax.degradations.base import Degradation, endpoint_kind
from colddiff_jax.prng import draw_normal_at, keys_per_example
from colddiff_jax.sampling.timesteps import Restart, check_timesteps
from colddiff_jax.sampling.trajectory import (
    RestoreFn,
    SampleResult,
    StepInput,
    scan_trajectory,
)


def sample_ihd(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    key: chex.PRNGKey,
    noise_ratio: float = 1.3,
    timesteps: Sequence[int] | np.ndarray | int | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
    restart: Restart | None = None,
    check_finite: bool = False,
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Restores degraded images with an R that predicts the image of the step before.

        x_{t-1} = R(x_t, t) + k sigma_{t-1} e,    e ~ N(0, 1),    sigma_0 = 0

    R is trained with the target "previous": it predicts the mean of D(x_0, t - 1), and
    not x_0 as the other samplers need. k > 1 adds more noise than training had, from
    which R makes more details.

    Args:
        restore_fn: R, as in `sample_alg2`, but for the target "previous".
        degrade: a degradation with noise (`noisy`), whose sigma is used, and nothing
            else of it. Without noise, sigma = 0.
        x_T: degraded images, float [B, H, W, C], with their noise.
        key: draws e; one key for the batch or one per example, [B]. The result is a
            pure function of it.
        noise_ratio: k, not negative.
        timesteps: only all steps, T, T - 1, ..., 0, as an integer or a list.
        start: the step of x_T, as in `sample_alg2`.
        endpoint: unused.
        last_step: unused: x_0 is the last prediction, R(x_1, 1).
        restart: only None.
        check_finite: whether to check for NaN and infinity.
        return_trajectory: whether to return the x_t.
        trajectory_every: which x_t to return.

    Returns:
        A `SampleResult` of float arrays like x_T; `direct` is R(x_T, T), slightly less
        degraded than x_T.

    Raises:
        ValueError: timesteps that leave out a step, a restart, a noise_ratio that is
            negative or not finite, or as in `sample_alg2`.
        TypeError: as in `sample_alg2`.

    Example:
        >>> noise = noisy(blur, 20 * [0.02])
        >>> x_0 = sample_ihd(restore_fn, noise, x_T, key=key, noise_ratio=1.25).x_0

    Reference:
        Rissanen, Heinonen, Solin (2022), arXiv:2206.13397, section 3, for the heat
        equation, with sigma = 0.01 and k sigma = 0.013 for images in [0, 1].
    """
    if not isinstance(noise_ratio, jax.core.Tracer):
        check_number("noise_ratio", noise_ratio, "not be negative", lambda k: k >= 0)
    visited = check_timesteps(timesteps, start, getattr(degrade, "num_steps", None))
    if isinstance(visited, jax.core.Tracer) or (np.diff(visited) != -1).any():
        raise ValueError(
            "sample_ihd takes every step, as R predicts D(x_0, t - 1) from x_t; leave "
            f"timesteps out, got {timesteps}"
        )
    if restart is not None:
        raise ValueError(
            "sample_ihd cannot restart, as R predicts no clean image to degrade again; "
            f"leave restart out, got {restart}"
        )
    keys = keys_per_example(key, len(check_images(x_T)))

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        mean = inputs.x0_hat  # What R predicts, here the mean of x_s.
        if endpoint_kind(degrade) != "noise":
            return mean, state
        _, sigma_s = inputs.degrade.levels(inputs.s)  # type: ignore[attr-defined]
        e = draw_normal_at(keys, inputs.index, mean.shape[1:])
        return mean + noise_ratio * sigma_s * e, state

    return scan_trajectory(
        step,
        restore_fn,
        degrade,
        x_T,
        timesteps=visited,
        start=None,
        endpoint="fixed",
        last_step="full",
        restart=None,
        check_finite=check_finite,
        return_trajectory=return_trajectory,
        trajectory_every=trajectory_every,
    )
