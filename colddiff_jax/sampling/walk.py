"""The walk that all samplers share: one scan from x_T to x_0."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import (
    Degradation,
    check_choice,
    check_images,
    check_integer,
)
from colddiff_jax.degradations.blend import Blend
from colddiff_jax.sampling.timesteps import Restart, check_timesteps, repeat_part

RestoreFn = Callable[[chex.Array, chex.Array], chex.Array]
"""R: images [B, H, W, C] and steps int32 [B] to predictions x0_hat like the images."""


class SampleResult(NamedTuple):
    """What a sampler returns.

    Attributes:
        x_0: the restored images, float [B, H, W, C], about [-1, 1], not clipped.
        direct: the first prediction R(x_T, T), like x_0.
        trajectory: x_t from x_T to x_0, [N, B, H, W, C], or None.
        nonfinite_step: with `check_finite`, the step t of the walk at which the image
            x_t or its prediction R(x_t, t) first was NaN or infinite, int32 [B], -1
            where all are finite; else None.
    """

    x_0: chex.Array
    direct: chex.Array
    trajectory: chex.Array | None = None
    nonfinite_step: chex.Array | None = None

    def raise_if_not_finite(self) -> None:
        """Raises if NaN or infinity appeared, for results that left `jit`.

        Raises:
            FloatingPointError: names the images and the first such step of each.
            ValueError: the sampler was not asked to check.

        Example:
            >>> result = jax.jit(run)(x_T)   # with check_finite=True inside
            >>> result.raise_if_not_finite()
        """
        if self.nonfinite_step is None:
            raise ValueError("the sampler was not called with check_finite=True")
        steps = np.asarray(self.nonfinite_step).ravel()
        if images := np.flatnonzero(steps >= 0).tolist():
            first = ", ".join(f"number {i} at t = {steps[i]}" for i in images[:3])
            raise FloatingPointError(
                f"NaN or infinity appeared in {len(images)} of {steps.size} images, "
                f"first in {first}{' ...' if len(images) > 3 else ''}; look at the "
                "restorer's output for that step, and at x_T"
            )


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


def degrade_again(place: Place) -> chex.Array:
    """x_s = D(x0_hat, s) with s > t: what a restart goes back to."""
    return place.degrade(place.x0_hat, place.s)


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
        restart: turns back on the way, x_high = D(R(x_low, low), high), and walks down
            again: errors made above `low` are forgotten but for those of one
            prediction. Both steps must be among those visited. After Restart sampling,
            Xu et al. (2023), arXiv:2306.14878, which `sample_ddim` does exactly.
        check_finite: look for NaN and infinity, and raise a FloatingPointError that
            names the first step that has them; where the sampler is called inside
            `jit`, the result tells instead.
        return_trajectory: also return the x_t on the way.
        trajectory_every: return only every k-th of them, from x_T on, and x_0.
    """

    timesteps: Sequence[int] | np.ndarray | None
    start: int | None
    endpoint: Literal["fixed", "estimated"]
    last_step: Literal["full", "direct"]
    restart: Restart | None
    check_finite: bool
    return_trajectory: bool
    trajectory_every: int


def walk(
    step: Step,
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    memory: Any = (),
    rise: Callable[[Place], chex.Array] = degrade_again,
    /,
    *,
    timesteps: Sequence[int] | np.ndarray | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
    restart: Restart | None = None,
    check_finite: bool = False,
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Scans a sampler's step, or its rise, over consecutive pairs of timesteps."""
    x_T = check_images(x_T)
    # A plain function serves as D where it is said which steps to visit.
    T = getattr(degrade, "num_steps", None)
    if T is None:
        _check_plain_function(degrade, x_T)
    visited = check_timesteps(timesteps, start, T)
    if restart is not None:
        visited = repeat_part(visited, restart)
    blend = _check_endpoint(endpoint, degrade)
    check_choice("last_step", last_step, ["full", "direct"])
    every = check_integer("trajectory_every", trajectory_every)
    num_steps = len(visited) - 1
    # Every k-th image from x_T on, and x_0.
    kept = -(-num_steps // every) + 1
    trajectory = None
    if return_trajectory:
        trajectory = jnp.zeros((kept, *x_T.shape), x_T.dtype).at[0].set(x_T)

    def move(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        x_s, memory = step(place, memory)
        return x_s.astype(x_T.dtype), memory

    def move_back(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        return rise(place).astype(x_T.dtype), memory

    def body(carry: tuple, moment: tuple) -> tuple[tuple, None]:
        x_t, direct, trajectory, nonfinite_step, memory = carry
        t, s, number = moment
        x0_hat = predict(restore_fn, x_t, t)
        # The first prediction rides along; a call outside the scan would double the
        # program.
        direct = jnp.where(number == 0, x0_hat, direct)
        here = degrade
        if blend is not None:
            here = blend.with_endpoint(blend.estimate_endpoint(x_t, x0_hat, t))
        place = Place(here, x_t, x0_hat, t, s, number)
        if restart is None:
            x_s, memory = move(place, memory)
        else:
            x_s, memory = jax.lax.cond(s > t, move_back, move, place, memory)
        if last_step == "direct":
            x_s = jnp.where(s == 0, x0_hat, x_s)
        if nonfinite_step is not None:
            nonfinite_step = _note_nonfinite(x0_hat, t, nonfinite_step)
            nonfinite_step = _note_nonfinite(x_s, s, nonfinite_step)
        if trajectory is not None:
            index = jnp.where((number + 1) % every == 0, (number + 1) // every, kept)
            index = jnp.where(number == num_steps - 1, kept - 1, index)
            trajectory = trajectory.at[index].set(x_s, mode="drop")
        return (x_s, direct, trajectory, nonfinite_step, memory), None

    steps = jnp.asarray(visited, jnp.int32)
    nonfinite_step = None
    if check_finite:
        nonfinite_step = _note_nonfinite(x_T, steps[0], jnp.full(len(x_T), -1))
    first = (x_T, jnp.zeros_like(x_T), trajectory, nonfinite_step, memory)
    moments = (steps[:-1], steps[1:], jnp.arange(num_steps, dtype=jnp.int32))
    (x_0, direct, trajectory, nonfinite_step, _), _ = jax.lax.scan(body, first, moments)
    result = SampleResult(x_0, direct, trajectory, nonfinite_step)
    if check_finite and not isinstance(nonfinite_step, jax.core.Tracer):
        result.raise_if_not_finite()
    return result


def predict(restore_fn: RestoreFn, x_t: chex.Array, t: chex.Array) -> chex.Array:
    """x0_hat = R(x_t, t) with t as [B], checked to be like x_t."""
    x0_hat = restore_fn(x_t, jnp.broadcast_to(t, x_t.shape[:1]))
    if not isinstance(x0_hat, jax.Array | np.ndarray):
        raise TypeError(
            "restore_fn must return one array, the prediction of the clean images; it "
            f"returned a {type(x0_hat).__name__}"
        )
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


def _note_nonfinite(x: chex.Array, t: chex.Array, noted: chex.Array) -> chex.Array:
    """Notes the step t, int32 [B], of images with NaN that had none before."""
    bad = ~jnp.isfinite(x).all(axis=(1, 2, 3)) & (noted < 0)
    return jnp.where(bad, t, noted).astype(jnp.int32)


def _check_plain_function(degrade: Degradation, x: chex.Array) -> None:
    """Raises a ValueError unless a plain function D returns images like x."""
    x_t = jax.eval_shape(lambda x: degrade(x, jnp.int32(1)), x)
    if getattr(x_t, "shape", None) != x.shape:
        raise ValueError(
            f"a degradation must return images of the shape it is given, {x.shape}; it "
            f"returned {x_t}"
        )


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
