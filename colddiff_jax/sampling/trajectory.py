"""The trajectory that all samplers share: one scan from x_T to x_0."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_choice, check_images, check_integer
from colddiff_jax.degradations.base import Degradation, WithEndpoint, endpoint_kind
from colddiff_jax.reprs import short_repr
from colddiff_jax.sampling.timesteps import Restart, check_timesteps, with_restart

RestoreFn = Callable[[chex.Array, chex.Array], chex.Array]
"""R: images [B, H, W, C] and steps int32 [B] to predictions x0_hat like the images."""


class SampleResult(NamedTuple):
    """The result of a sampler.

    Attributes:
        x_0: the restored images, float [B, H, W, C], about [-1, 1], not clipped.
        direct: the first prediction R(x_T, T), like x_0.
        trajectory: x_t from x_T to x_0, [N, B, H, W, C], or None.
        predictions: R(x_t, t) for each x_t of the trajectory but x_0,
            [N - 1, B, H, W, C], or None.
        nonfinite_step: with `check_finite`, the first step t at which the image x_t or
            its prediction R(x_t, t) had NaN or infinity, int32 [B], or -1 where all
            were finite; otherwise None.

    Example:
        >>> result = sample_alg2(restore_fn, degrade, x_T, return_trajectory=True)
        >>> len(result.trajectory) == degrade.num_steps + 1
        True
    """

    x_0: chex.Array
    direct: chex.Array
    trajectory: chex.Array | None = None
    predictions: chex.Array | None = None
    nonfinite_step: chex.Array | None = None

    def __repr__(self) -> str:
        return short_repr(self)

    def images_first(self) -> "SampleResult":
        """Returns the result with the axis of the images first, as in batches.

        Example:
            >>> result = sample_alg2(restore_fn, degrade, x_T, return_trajectory=True)
            >>> len(result.images_first().trajectory) == len(x_T)
            True
        """
        if self.trajectory is None or self.predictions is None:
            return self
        return self._replace(
            trajectory=self.trajectory.swapaxes(0, 1),
            predictions=self.predictions.swapaxes(0, 1),
        )

    def raise_if_not_finite(self) -> None:
        """Raises if NaN or infinity appeared, for a result returned from `jit`.

        Raises:
            FloatingPointError: names the images and the first such step of each.
            ValueError: the sampler was not called with `check_finite`.

        Example:
            >>> def run(x_T):
            ...     return sample_alg2(restore_fn, degrade, x_T, check_finite=True)
            >>> result = jax.jit(run)(x_T)
            >>> result.raise_if_not_finite()
        """
        if self.nonfinite_step is None:
            raise ValueError("the sampler was not called with check_finite=True")
        steps = np.asarray(self.nonfinite_step).ravel()
        if images := np.flatnonzero(steps >= 0).tolist():
            first = ", ".join(f"image {i} first at t = {steps[i]}" for i in images[:3])
            raise FloatingPointError(
                f"NaN or infinity appeared in {len(images)} of {steps.size} images "
                f"({first}{', ...' if len(images) > 3 else ''}); check the restorer's "
                "output at that step, and x_T"
            )


class StepInput(NamedTuple):
    """The input of one step of a sampler.

    Attributes:
        degrade: D; if the endpoint is estimated, D with the estimate of this step.
        x_t: the images, float [B, H, W, C].
        x0_hat: R(x_t, t), like x_t.
        t: the step of x_t, int32 [].
        s: the step to go to, int32 [].
        index: the index of this step, counted from 0, int32 [].
    """

    degrade: Degradation
    x_t: chex.Array
    x0_hat: chex.Array
    t: chex.Array
    s: chex.Array
    index: chex.Array


Step = Callable[[StepInput, Any], tuple[chex.Array, Any]]
"""Maps a step's input and the sampler's state to x_s and the next state."""


def degrade_prediction(inputs: StepInput) -> chex.Array:
    """x_s = D(x0_hat, s) with s > t: the default step back of a restart."""
    return inputs.degrade(inputs.x0_hat, inputs.s)


def scan_trajectory(
    step: Step,
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    state: Any = (),
    step_back: Callable[[StepInput], chex.Array] = degrade_prediction,
    /,
    *,
    timesteps: Sequence[int] | chex.Array | int | None,
    start: int | None,
    endpoint: Literal["fixed", "estimated"],
    last_step: Literal["full", "direct"],
    restart: Restart | None,
    check_finite: bool,
    return_trajectory: bool,
    trajectory_every: int,
) -> SampleResult:
    """Scans a sampler's step over consecutive pairs of timesteps.

    Args:
        step: the step of the sampler.
        restore_fn: R; this and all further arguments are as in `sample_alg2`, unless
            described here.
        degrade: D.
        x_T: degraded images.
        state: the initial state of the sampler.
        step_back: the step of a restart, from t to s > t.
        timesteps: the steps to visit.
        start: the step of x_T.
        endpoint: whether to estimate the endpoint of a blend.
        last_step: how to end.
        restart: which steps to repeat.
        check_finite: whether to check for NaN and infinity.
        return_trajectory: whether to keep the x_t.
        trajectory_every: which x_t to keep.
    """
    x_T = check_images(x_T)
    # D may be a plain function if the timesteps are given.
    T = getattr(degrade, "num_steps", None)
    if T is None:
        _check_plain_function(degrade, x_T)
    visited = check_timesteps(timesteps, start, T)
    if restart is not None:
        visited = with_restart(visited, restart)
    blend = _estimated_blend(endpoint, degrade)
    check_choice("last_step", last_step, ["full", "direct"])
    every = check_integer("trajectory_every", trajectory_every)
    num_steps = len(visited) - 1
    # Every k-th image, starting at x_T, and x_0.
    num_kept = -(-num_steps // every) + 1
    kept = None
    if return_trajectory:
        visited_images = jnp.zeros((num_kept, *x_T.shape), x_T.dtype).at[0].set(x_T)
        kept = (visited_images, jnp.zeros_like(visited_images[1:]))

    def step_down(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        x_s, state = step(inputs, state)
        return x_s.astype(x_T.dtype), state

    def step_up(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        return step_back(inputs).astype(x_T.dtype), state

    def body(carry: tuple, pair: tuple) -> tuple[tuple, None]:
        x_t, direct, kept, nonfinite_step, state = carry
        t, s, index = pair
        x0_hat = predict(restore_fn, x_t, t)
        # The first prediction is part of the carry: another call outside the scan would
        # compile the network twice.
        direct = jnp.where(index == 0, x0_hat, direct)
        bound = degrade
        if blend is not None:
            bound = blend.with_endpoint(blend.estimate_endpoint(x_t, x0_hat, t))
        inputs = StepInput(bound, x_t, x0_hat, t, s, index)
        if restart is None:
            x_s, state = step_down(inputs, state)
        else:
            # As closures: as an argument, D would have to be a pytree.
            x_s, state = jax.lax.cond(
                s > t, lambda: step_up(inputs, state), lambda: step_down(inputs, state)
            )
        if last_step == "direct":
            x_s = jnp.where(s == 0, x0_hat, x_s)
        if nonfinite_step is not None:
            nonfinite_step = _record_nonfinite(x0_hat, t, nonfinite_step)
            nonfinite_step = _record_nonfinite(x_s, s, nonfinite_step)
        if kept is not None:
            trajectory, predictions = kept
            slot = jnp.where(index % every == 0, index // every, num_kept)
            predictions = predictions.at[slot].set(x0_hat, mode="drop")
            slot = jnp.where((index + 1) % every == 0, (index + 1) // every, num_kept)
            slot = jnp.where(index == num_steps - 1, num_kept - 1, slot)
            trajectory = trajectory.at[slot].set(x_s, mode="drop")
            kept = (trajectory, predictions)
        return (x_s, direct, kept, nonfinite_step, state), None

    steps = jnp.asarray(visited, jnp.int32)
    nonfinite_step = None
    if check_finite:
        nonfinite_step = _record_nonfinite(x_T, steps[0], jnp.full(x_T.shape[0], -1))
    carry = (x_T, jnp.zeros_like(x_T), kept, nonfinite_step, state)
    pairs = (steps[:-1], steps[1:], jnp.arange(num_steps, dtype=jnp.int32))
    (x_0, direct, kept, nonfinite_step, _), _ = jax.lax.scan(body, carry, pairs)
    trajectory, predictions = (None, None) if kept is None else kept
    result = SampleResult(x_0, direct, trajectory, predictions, nonfinite_step)
    if check_finite and not isinstance(nonfinite_step, jax.core.Tracer):
        result.raise_if_not_finite()
    return result


def predict(restore_fn: RestoreFn, x_t: chex.Array, t: chex.Array) -> chex.Array:
    """Returns x0_hat = R(x_t, t), checked to have the shape and dtype of x_t."""
    x0_hat = restore_fn(x_t, jnp.broadcast_to(t, x_t.shape[:1]))
    if not isinstance(x0_hat, jax.Array | np.ndarray):
        raise TypeError(
            "restore_fn must return one array, the predicted clean images; it returned "
            f"a {type(x0_hat).__name__}"
        )
    if x0_hat.shape != x_t.shape:
        raise ValueError(
            f"restore_fn must return images of the shape of its input, {x_t.shape}; it "
            f"returned {x0_hat.shape}"
        )
    if x0_hat.dtype != x_t.dtype:
        raise TypeError(
            f"restore_fn must return the dtype of its input, {x_t.dtype}; it returned "
            f"{x0_hat.dtype} (compute in any precision, then cast the result)"
        )
    return x0_hat


def _record_nonfinite(x: chex.Array, t: chex.Array, recorded: chex.Array) -> chex.Array:
    """Returns the recorded steps [B], set to t for images that became non-finite."""
    bad = ~jnp.isfinite(x).all(axis=(1, 2, 3)) & (recorded < 0)
    return jnp.where(bad, t, recorded).astype(jnp.int32)


def _check_plain_function(degrade: Degradation, x: chex.Array) -> None:
    """Raises a ValueError unless a plain function D returns images like x."""
    x_t = jax.eval_shape(lambda x: degrade(x, jnp.int32(1)), x)
    if getattr(x_t, "shape", None) != x.shape:
        raise ValueError(
            f"a degradation must return images of the shape of its input, {x.shape}; "
            f"it returned {x_t}"
        )


def _estimated_blend(endpoint: str, degrade: Degradation) -> WithEndpoint | None:
    """Returns D if its endpoint is to be estimated at every step, else None."""
    check_choice("endpoint", endpoint, ["fixed", "estimated"])
    if endpoint == "fixed":
        return None
    if endpoint_kind(degrade) is None:
        raise TypeError(
            f'endpoint="estimated" needs a degradation with an endpoint (animorph, '
            f"gaussian_noise, fade_to_color), got {type(degrade).__name__}"
        )
    return degrade  # type: ignore[return-value]
