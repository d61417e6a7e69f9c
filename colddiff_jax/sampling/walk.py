"""The walk that all samplers share: one scan from x_T to x_0."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import Degradation, check_choice, check_images
from colddiff_jax.degradations.blend import Blend

RestoreFn = Callable[[chex.Array, chex.Array], chex.Array]
"""R: images [B, H, W, C] and steps int32 [B] to predictions x0_hat like the images."""


class SampleResult(NamedTuple):
    """What a sampler returns.

    Attributes:
        x_0: the restored images, float [B, H, W, C], about [-1, 1], not clipped.
        direct: the first prediction R(x_T, T), like x_0.
        trajectory: x_t from x_T to x_0, [N, B, H, W, C], or None.
    """

    x_0: chex.Array
    direct: chex.Array
    trajectory: chex.Array | None


class Place(NamedTuple):
    """Where the walk is, for the step of a sampler.

    Attributes:
        degrade: D; a blend has the endpoint of this step.
        x_t: the images, float [B, H, W, C].
        x0_hat: R(x_t, t), like x_t.
        t: the step of x_t, int32 [].
        s: the step to go to, int32 [].
        number: of steps made before, int32 [].
    """

    degrade: Degradation
    x_t: chex.Array
    x0_hat: chex.Array
    t: chex.Array
    s: chex.Array
    number: chex.Array


Step = Callable[[Place, Any], tuple[chex.Array, Any]]
"""Maps a place and the sampler's memory to x_s and the next memory."""


class WalkOptions(TypedDict, total=False):
    """The keyword arguments that all samplers share.

    Attributes:
        timesteps: strictly decreasing integers that end in 0; default T, T - 1, ..., 0.
            Fewer of them are coarser and cheaper: each but the last costs one network
            call.
        start: the step of x_T where it is below T and every step is to be made:
            timesteps start, start - 1, ..., 0.
        endpoint: of a blend, what it blends with: "fixed" holds the endpoint that
            `degrade` has, "estimated" solves for it at every step. Where the endpoint
            is an image or noise, that makes both algorithms deterministic DDIM.
        last_step: "full", or "direct" to end in the last prediction x0_hat itself.
        return_trajectory: also return the x_t on the way.
        trajectory_every: return only every k-th of them, from x_T on, and x_0.
    """

    timesteps: Sequence[int] | np.ndarray | None
    start: int | None
    endpoint: Literal["fixed", "estimated"]
    last_step: Literal["full", "direct"]
    return_trajectory: bool
    trajectory_every: int


def walk(
    step: Step,
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    memory: Any = (),
    /,
    *,
    timesteps: Sequence[int] | np.ndarray | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Scans a sampler's step over consecutive pairs of timesteps."""
    x_T = check_images(x_T)
    # A plain function serves as D where it is said which steps to visit.
    T = getattr(degrade, "num_steps", None)
    visited = check_timesteps(timesteps, start, T)
    blend = _check_endpoint(endpoint, degrade)
    check_choice("last_step", last_step, ["full", "direct"])
    every = trajectory_every
    if not isinstance(every, int) or every < 1:
        raise ValueError(f"trajectory_every must be a positive integer, got {every!r}")
    num_steps = len(visited) - 1
    # Every k-th image from x_T on, and x_0.
    kept = -(-num_steps // every) + 1
    trajectory = None
    if return_trajectory:
        trajectory = jnp.zeros((kept, *x_T.shape), x_T.dtype).at[0].set(x_T)

    def body(carry: tuple, moment: tuple) -> tuple[tuple, None]:
        x_t, direct, trajectory, memory = carry
        t, s, number = moment
        x0_hat = predict(restore_fn, x_t, t)
        # The first prediction rides along; a call outside the scan would double the
        # program.
        direct = jnp.where(number == 0, x0_hat, direct)
        here = degrade
        if blend is not None:
            here = blend.with_endpoint(blend.estimate_endpoint(x_t, x0_hat, t))
        x_s, memory = step(Place(here, x_t, x0_hat, t, s, number), memory)
        if last_step == "direct":
            x_s = jnp.where(s == 0, x0_hat, x_s)
        x_s = x_s.astype(x_t.dtype)
        if trajectory is not None:
            place = jnp.where((number + 1) % every == 0, (number + 1) // every, kept)
            place = jnp.where(number == num_steps - 1, kept - 1, place)
            trajectory = trajectory.at[place].set(x_s, mode="drop")
        return (x_s, direct, trajectory, memory), None

    first = (x_T, jnp.zeros_like(x_T), trajectory, memory)
    numbers = jnp.arange(num_steps, dtype=jnp.int32)
    moments = (visited[:-1], visited[1:], numbers)
    (x_0, direct, trajectory, _), _ = jax.lax.scan(body, first, moments)
    return SampleResult(x_0=x_0, direct=direct, trajectory=trajectory)


def predict(restore_fn: RestoreFn, x_t: chex.Array, t: chex.Array) -> chex.Array:
    """x0_hat = R(x_t, t) with t as [B], checked to be like x_t."""
    x0_hat = restore_fn(x_t, jnp.broadcast_to(t, x_t.shape[:1]))
    if x0_hat.shape != x_t.shape:
        raise ValueError(
            f"restore_fn must return images of the shape it is given, {x_t.shape}; it "
            f"returned {x0_hat.shape}"
        )
    if x0_hat.dtype != x_t.dtype:
        raise TypeError(
            f"restore_fn must return the dtype it is given, {x_t.dtype}; it returned "
            f"{x0_hat.dtype} (compute in any precision inside, cast the result)"
        )
    return x0_hat


def check_timesteps(
    timesteps: Sequence[int] | np.ndarray | None,
    start: int | None,
    num_steps: int | None,
) -> chex.Array:
    """Returns the steps to visit as int32, strictly falling from the start to 0."""
    largest = np.inf if num_steps is None else num_steps
    if timesteps is None:
        first = num_steps if start is None else start
        if first is None:
            raise ValueError(
                "a degradation without num_steps needs timesteps, or the start"
            )
        if isinstance(first, bool) or not isinstance(first, int | np.integer):
            raise ValueError(f"start must be an integer, got {start!r}")
        if not 1 <= first <= largest:
            raise ValueError(f"start must lie in 1..{largest}, got {start}")
        return jnp.arange(first, -1, -1, dtype=jnp.int32)
    if start is not None:
        raise ValueError(
            f"give start or timesteps, not both: timesteps begin with their own start; "
            f"got start={start}"
        )
    if not isinstance(timesteps, jax.core.Tracer):
        steps = np.asarray(timesteps)
        if (
            steps.ndim != 1
            or len(steps) < 2
            or not np.issubdtype(steps.dtype, np.integer)
            or (np.diff(steps) >= 0).any()
            or steps[-1] != 0
            or steps[0] > largest
        ):
            raise ValueError(
                "timesteps must be strictly decreasing integers from at most T = "
                f"{largest} down to 0, got {timesteps}"
            )
    return jnp.asarray(timesteps, jnp.int32)


def _check_endpoint(
    endpoint: Literal["fixed", "estimated"] | str, degrade: Degradation
) -> Blend | None:
    """Returns the blend whose endpoint is to be estimated at every step, if any."""
    check_choice("endpoint", endpoint, ["fixed", "estimated"])
    if endpoint == "fixed":
        return None
    if not isinstance(degrade, Blend):
        raise TypeError(
            f'endpoint="estimated" needs a blend with an endpoint (animorph, '
            f"gaussian_noise, fade_to_color), got {type(degrade).__name__}"
        )
    return degrade
