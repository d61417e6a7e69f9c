"""Which steps a sampler visits.

`equal_stride`, `equal_log_severity` and `equal_change` choose fewer than T of them:
strictly decreasing integers from T down to 0, ready for the argument `timesteps` of the
samplers, one more than the number of network calls.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import (
    Degradation,
    check_images,
    check_integer,
    check_schedule,
    last_step,
)


class Restart(NamedTuple):
    """Where a walk turns back to a more degraded image, to redo part of the way.

    Attributes:
        low: the step from which it turns back, in 1..high - 1.
        high: the step to which it goes back.
        times: how often; each time costs the network calls of the way from high to low,
            and one.
    """

    low: int
    high: int
    times: int = 1


def equal_stride(num_steps: int, *, num_calls: int) -> np.ndarray:
    """Chooses steps at equal distances, the nearest to t_i = (1 - i / N) T.

    Args:
        num_steps: T.
        num_calls: N, of the network, in 1..T.

    Returns:
        int32 [N + 1], from T down to 0.

    Raises:
        ValueError: num_steps that is no positive integer, or num_calls outside 1..T.

    Example:
        >>> equal_stride(20, num_calls=4)
        array([20, 15, 10,  5,  0], dtype=int32)
    """
    num_steps = check_integer("num_steps", num_steps)
    return _equally_spaced(np.arange(num_steps + 1.0), num_calls)


def equal_log_severity(
    severities: Sequence[float] | np.ndarray, *, num_calls: int
) -> np.ndarray:
    """Chooses steps whose severities have equal ratios, and 0.

    Args:
        severities: one positive number per step, never shrinking, such as the total
            width of a blur; T is their number.
        num_calls: N, of the network, in 1..T.

    Returns:
        int32 [N + 1], from T down to 0.

    Raises:
        ValueError: severities that are not positive or shrink, or num_calls outside
            1..T.

    Example:
        >>> widths = np.sqrt(np.cumsum(schedules.exponential(200, rate=0.01) ** 2))
        >>> steps = equal_log_severity(widths, num_calls=10)
    """
    values = check_schedule(
        "severities", severities, "positive", lambda v: v > 0, order="rising"
    )
    num_calls = check_integer("num_calls", num_calls, len(values))
    logs = np.log(values)
    # The step to 0 is one more of the same ratio.
    below = logs[0] - (logs[-1] - logs[0]) / max(num_calls - 1, 1)
    return _equally_spaced(np.concatenate([[below], logs]), num_calls)


def measured_severity(degrade: Degradation, x: chex.Array) -> np.ndarray:
    """Measures how far every step takes images from the clean ones.

        severity_t = max_{i <= t} rms(D(x, i) - x)

    Args:
        degrade: D, bound if it is random.
        x: clean images, float [B, H, W, C] in [-1, 1]; some dozens are enough.

    Returns:
        float64 [T], never shrinking, in the unit of the images.

    Example:
        >>> severity = measured_severity(degrade, photos)
        >>> steps = equal_log_severity(severity, num_calls=10)
    """
    last_step(degrade)
    distances, _ = jax.jit(_measure)(degrade, check_images(x))
    return np.maximum.accumulate(np.asarray(distances, np.float64))


def equal_change(
    degrade: Degradation, x: chex.Array, *, num_calls: int, start: int | None = None
) -> np.ndarray:
    """Chooses steps between which the degraded images change by the same amount.

        c_t = sum_{i <= t} rms(D(x, i) - D(x, i - 1))

    is measured once on a sample of images; the steps are equally spaced in it.

    Args:
        degrade: D, bound if it is random.
        x: clean images, float [B, H, W, C] in [-1, 1]; some dozens are enough.
        num_calls: N, of the network, in 1..start.
        start: the step to begin with; T by default.

    Returns:
        int32 [N + 1], from the start down to 0.

    Raises:
        ValueError: a start outside 1..T, or num_calls outside 1..start.

    Example:
        >>> steps = equal_change(blur, photos, num_calls=10)
        >>> x_0 = sample_alg2(restore_fn, blur, x_T, timesteps=steps).x_0

    Reference:
        The idea of choosing levels by the distance of what lies between them is that of
        Daras et al. (2022), "Soft Diffusion", arXiv:2209.05442.
    """
    T = check_timesteps(None, start, last_step(degrade))[0]
    _, changes = jax.jit(_measure)(degrade, check_images(x))
    change = np.cumsum(np.concatenate([[0.0], np.asarray(changes[:T], np.float64)]))
    return _equally_spaced(change, num_calls)


def check_timesteps(
    timesteps: Sequence[int] | np.ndarray | None,
    start: int | None,
    num_steps: int | None,
) -> chex.Array | np.ndarray:
    """Returns the steps to visit, strictly falling from the start to 0."""
    largest = np.inf if num_steps is None else num_steps
    if timesteps is None:
        first = num_steps if start is None else start
        if first is None:
            raise ValueError(
                "a degradation without num_steps needs timesteps, or the start"
            )
        return np.arange(check_integer("start", first, num_steps), -1, -1)
    if start is not None:
        raise ValueError(
            f"give start or timesteps, not both: timesteps begin with their own start; "
            f"got start={start}"
        )
    traced = isinstance(timesteps, jax.core.Tracer)
    steps: Any = timesteps if traced else np.asarray(timesteps)
    if (
        steps.ndim != 1
        or len(steps) < 2
        or not jnp.issubdtype(steps.dtype, jnp.integer)
        or (not traced and not _falls_to_zero(steps, largest))
    ):
        raise ValueError(
            "timesteps must be strictly decreasing integers from at most T = "
            f"{largest} down to 0, got {timesteps}"
        )
    return steps


def _falls_to_zero(steps: np.ndarray, largest: float) -> bool:
    return bool((np.diff(steps) < 0).all() and steps[-1] == 0 and steps[0] <= largest)


def repeat_part(visited: chex.Array | np.ndarray, restart: Restart) -> np.ndarray:
    """The steps to visit with those from high to low repeated."""
    if isinstance(visited, jax.core.Tracer):
        raise TypeError(
            "a restart needs timesteps of known values; do not pass them as an "
            "argument of the jitted function"
        )
    if not isinstance(restart, Restart):
        raise TypeError(f"restart must be a sampling.Restart, got {restart!r}")
    low, high, times = restart
    steps = np.asarray(visited).tolist()
    if low not in steps or high not in steps or not 0 < low < high:
        raise ValueError(
            "restart must go from a low step to a higher one, both among the timesteps "
            f"above 0; got low={low}, high={high} for timesteps {steps}"
        )
    times = check_integer("restart.times", times)
    end = steps.index(low) + 1
    part = steps[steps.index(high) : end]
    return np.array([*steps[:end], *times * part, *steps[end:]])


def _measure(degrade: Degradation, x: chex.Array) -> tuple[chex.Array, chex.Array]:
    """rms(D(x, t) - x) and rms(D(x, t) - D(x, t - 1)) for t = 1 ... T, float32 [T]."""

    def rms(difference: chex.Array) -> chex.Array:
        return jnp.sqrt(jnp.mean(difference.astype(jnp.float32) ** 2))

    def body(before: chex.Array, t: chex.Array) -> tuple[chex.Array, tuple]:
        x_t = degrade(x, t)
        return x_t, (rms(x_t - x), rms(x_t - before))

    steps = jnp.arange(1, degrade.num_steps + 1, dtype=jnp.int32)
    return jax.lax.scan(body, x, steps)[1]


def _equally_spaced(coordinate: np.ndarray, num_calls: int) -> np.ndarray:
    """Steps whose coordinates [T + 1], rising from step 0 on, are about equally spaced.

    The nearest steps, moved apart where several fall on one.
    """
    T = len(coordinate) - 1
    num_calls = check_integer("num_calls", num_calls, T)
    targets = np.linspace(coordinate[-1], coordinate[0], num_calls + 1)
    steps = [T]
    for i, target in enumerate(targets[1:-1], start=1):
        nearest = int(np.argmin(np.abs(coordinate - target)))
        steps.append(int(np.clip(nearest, num_calls - i, steps[-1] - 1)))
    return np.array([*steps, 0], np.int32)
