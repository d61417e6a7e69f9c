"""The steps that a sampler visits.

`equal_stride`, `equal_log_severity` and `equal_change` choose some of the T steps: they
return strictly decreasing integers from T down to 0, one more than there are network
calls, to be passed to a sampler as `timesteps`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images, check_integer, check_schedule
from colddiff_jax.degradations.base import Degradation, num_steps_of


class Restart(NamedTuple):
    """A return to a more degraded image, to repeat part of the trajectory.

    Attributes:
        low: the step to return from, in 1..high - 1.
        high: the step to return to.
        times: the number of repetitions; each costs one network call plus those from
            high to low.

    Example:
        >>> restart = Restart(low=5, high=10)
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T, restart=restart).x_0
    """

    low: int
    high: int
    times: int = 1


def equal_stride(num_steps: int, *, num_calls: int) -> np.ndarray:
    """Chooses equally spaced steps, those nearest to t_i = (1 - i / N) T.

    Args:
        num_steps: T.
        num_calls: N, the number of network calls, in 1..T.

    Returns:
        int32 [N + 1], from T down to 0.

    Raises:
        ValueError: num_steps that is not a positive integer, or num_calls outside 1..T.

    Example:
        >>> equal_stride(20, num_calls=4)
        array([20, 15, 10,  5,  0], dtype=int32)
    """
    num_steps = check_integer("num_steps", num_steps)
    return _equally_spaced(np.arange(num_steps + 1.0), num_calls)


def equal_log_severity(
    severities: Sequence[float] | np.ndarray, *, num_calls: int
) -> np.ndarray:
    """Chooses steps at equal ratios of severity, and 0.

    Args:
        severities: one positive number for each of the T steps, non-decreasing, such
            as the total width of a blur.
        num_calls: N, the number of network calls, in 1..T.

    Returns:
        int32 [N + 1], from T down to 0.

    Raises:
        ValueError: severities that are not positive or decrease, or num_calls outside
            1..T.

    Example:
        >>> widths = np.sqrt(np.cumsum(schedules.exponential(200, rate=0.01) ** 2))
        >>> steps = equal_log_severity(widths, num_calls=10)
    """
    values = check_schedule(
        "severities", severities, "positive", lambda v: v > 0, order="rising"
    )
    num_calls = check_integer("num_calls", num_calls, largest=len(values))
    logs = np.log(values)
    # The step to 0 has the same ratio.
    below = logs[0] - (logs[-1] - logs[0]) / max(num_calls - 1, 1)
    return _equally_spaced(np.concatenate([[below], logs]), num_calls)


def measured_severity(degrade: Degradation, x: chex.Array) -> np.ndarray:
    """Measures the distance of the degraded images from the clean ones at every step.

        severity_t = max_{i <= t} rms(D(x, i) - x)

    Args:
        degrade: D, bound if it is random.
        x: clean images, float [B, H, W, C] in [-1, 1]; a few dozen suffice.

    Returns:
        float64 [T], non-decreasing, in image units.

    Example:
        >>> severity = measured_severity(degrade, photos)
        >>> steps = equal_log_severity(severity, num_calls=10)
    """
    num_steps_of(degrade)
    distances, _ = jax.jit(_measure)(degrade, check_images(x))
    return np.maximum.accumulate(np.asarray(distances, np.float64))


def equal_change(
    degrade: Degradation, x: chex.Array, *, num_calls: int, start: int | None = None
) -> np.ndarray:
    """Chooses steps between which the degraded images change by the same amount.

        c_t = sum_{i <= t} rms(D(x, i) - D(x, i - 1))

    is measured once on a sample of images, and the steps are equally spaced in c_t.

    Args:
        degrade: D, bound if it is random.
        x: clean images, float [B, H, W, C] in [-1, 1]; a few dozen suffice.
        num_calls: N, the number of network calls, in 1..start.
        start: the first step; T by default.

    Returns:
        int32 [N + 1], from the start down to 0.

    Raises:
        ValueError: a start outside 1..T, num_calls outside 1..start, or images that
            are not finite.

    Example:
        >>> steps = equal_change(blur, photos, num_calls=10)
        >>> x_0 = sample_alg2(restore_fn, blur, x_T, timesteps=steps).x_0

    Reference:
        Choosing levels by the distance between them follows Daras et al. (2022), "Soft
        Diffusion", arXiv:2209.05442.
    """
    T = check_timesteps(None, start, num_steps_of(degrade))[0]
    _, changes = jax.jit(_measure)(degrade, check_images(x))
    change = np.cumsum(np.concatenate([[0.0], np.asarray(changes[:T], np.float64)]))
    if not np.isfinite(change).all():
        raise ValueError("images must be finite, at every step of the degradation")
    return _equally_spaced(change, num_calls)


def check_timesteps(
    timesteps: Sequence[int] | chex.Array | int | None,
    start: int | None,
    num_steps: int | None,
) -> chex.Array | np.ndarray:
    """Returns the steps to visit, strictly decreasing from the first one to 0."""
    largest = np.inf if num_steps is None else num_steps
    if timesteps is None or isinstance(timesteps, int | np.integer):
        first = num_steps if start is None else start
        if first is None:
            raise ValueError(
                "a degradation without num_steps needs start or a list of timesteps, "
                f"got start=None and timesteps={timesteps}"
            )
        first = check_integer("start", first, largest=num_steps)
        if timesteps is None:
            return np.arange(first, -1, -1)
        num_calls = check_integer("timesteps", timesteps, largest=first)
        return equal_stride(first, num_calls=num_calls)
    if start is not None:
        raise ValueError(
            "pass start or a list of timesteps, not both: the list begins with its own "
            f"start; got start={start}"
        )
    traced = isinstance(timesteps, jax.core.Tracer)
    steps: Any = timesteps if traced else np.asarray(timesteps)
    if (
        steps.ndim != 1
        or len(steps) < 2
        or not jnp.issubdtype(steps.dtype, jnp.integer)
        or (not traced and not _decreases_to_zero(steps, largest))
    ):
        raise ValueError(
            "timesteps must be strictly decreasing integers from at most T = "
            f"{largest} down to 0, or a number of steps, got {timesteps}"
        )
    return steps


def _decreases_to_zero(steps: np.ndarray, largest: float) -> bool:
    return bool((np.diff(steps) < 0).all() and steps[-1] == 0 and steps[0] <= largest)


def with_restart(visited: chex.Array | np.ndarray, restart: Restart) -> np.ndarray:
    """Returns the visited steps, with those from high to low repeated."""
    if isinstance(visited, jax.core.Tracer):
        raise TypeError(
            "a restart needs concrete timesteps, got traced ones; do not pass them as "
            "an argument of the jitted function"
        )
    if not isinstance(restart, Restart):
        raise TypeError(f"restart must be a sampling.Restart, got {restart!r}")
    low, high, times = restart
    steps = np.asarray(visited).tolist()
    if low not in steps or high not in steps or not 0 < low < high:
        raise ValueError(
            "restart needs low < high, both among the timesteps and above 0; got "
            f"low={low}, high={high} for timesteps {steps}"
        )
    times = check_integer("restart.times", times)
    end = steps.index(low) + 1
    part = steps[steps.index(high) : end]
    return np.array([*steps[:end], *times * part, *steps[end:]])


def _measure(degrade: Degradation, x: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns rms(D(x, t) - x) and rms(D(x, t) - D(x, t - 1)) for t = 1..T, [T]."""

    def rms(difference: chex.Array) -> chex.Array:
        return jnp.sqrt(jnp.mean(difference.astype(jnp.float32) ** 2))

    def body(previous: chex.Array, t: chex.Array) -> tuple[chex.Array, tuple]:
        x_t = degrade(x, t)
        return x_t, (rms(x_t - x), rms(x_t - previous))

    steps = jnp.arange(1, degrade.num_steps + 1, dtype=jnp.int32)
    return jax.lax.scan(body, x, steps)[1]


def _equally_spaced(coordinate: np.ndarray, num_calls: int) -> np.ndarray:
    """Returns steps at roughly equal distances in a coordinate [T + 1] that increases.

    These are the steps nearest to exact spacing, moved apart where they coincide.
    """
    T = len(coordinate) - 1
    num_calls = check_integer("num_calls", num_calls, largest=T)
    targets = np.linspace(coordinate[-1], coordinate[0], num_calls + 1)
    steps = [T]
    for i, target in enumerate(targets[1:-1], start=1):
        nearest = int(np.argmin(np.abs(coordinate - target)))
        steps.append(int(np.clip(nearest, num_calls - i, steps[-1] - 1)))
    return np.array([*steps, 0], np.int32)
