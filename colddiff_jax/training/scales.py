"""The scales of a preconditioned network: measured, or those of a velocity."""

from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import devices, distributed, prng
from colddiff_jax.checks import InputError
from colddiff_jax.data import (
    ImageSplits,
    Preprocessing,
    batch_windows,
    load_windows,
)
from colddiff_jax.degradations.base import Degradation, per_example
from colddiff_jax.experiment.data import RunData
from colddiff_jax.io.images import to_float
from colddiff_jax.models.preconditioning import Scales, measure_scales, velocity_scales
from colddiff_jax.restoration.restore import bind
from colddiff_jax.sampling import Consistent
from colddiff_jax.sampling.consistency import trained_consistent
from colddiff_jax.training.objective import Objective, draw_noise_levels

_NUM_MEASURED = 512  # Images on which scales are measured.


def make_scales(
    precondition: Literal[True, "velocity"],
    degrade: Degradation,
    objective: Objective,
    data: RunData,
    preprocessing: Preprocessing,
    *,
    seed: int,
    local: bool,
) -> Scales:
    """Makes the scales of a preconditioned network, in process 0 for all of them.

    Machines of other kinds would round other digits, and the network holds every digit.

    Args:
        precondition: the field of the section model; True measures on training images.
        degrade: D, unbound.
        objective: the training losses.
        data: the images of the run.
        preprocessing: how they are resized and cropped.
        seed: the run's.
        local: whether the network is local.

    Raises:
        InputError: a velocity where D has none, or with another target.
    """
    if precondition == "velocity":
        return _velocity(degrade, objective)
    scales = np.zeros((len(Scales._fields), degrade.num_steps))
    if devices.is_main_process():
        scales[:] = _measured(
            degrade, objective, data, preprocessing, seed, centered=not local
        )
    return Scales(*map(tuple, distributed.from_process_0(scales).tolist()))


def _velocity(degrade: Degradation, objective: Objective) -> Scales:
    if objective.target != "clean":
        raise InputError(
            "`model.precondition` velocity needs `objective.target` clean, got "
            f"{objective.target}"
        )
    try:
        return velocity_scales(degrade)
    except ValueError as error:
        raise InputError(f"`model.precondition` {error}") from error


def _measured(
    degrade: Degradation,
    objective: Objective,
    data: RunData,
    preprocessing: Preprocessing,
    seed: int,
    *,
    centered: bool,
) -> Scales:
    def load(split: ImageSplits, seed: int) -> np.ndarray:
        if preprocessing.crop:  # The windows of the first examples.
            windows = batch_windows(len(split.train), _NUM_MEASURED, seed=seed)[0]
            return load_windows(split.train, preprocessing, windows)
        every = np.linspace(0, len(split.train) - 1, _NUM_MEASURED).astype(int)
        return np.stack([preprocessing.test(split.train[i]) for i in every])

    x_0 = to_float(load(data.splits, seed))
    endpoint_seed = seed if data.paired else seed + 1  # As in `open_batches`.
    endpoints = load(data.endpoints, endpoint_seed) if data.endpoints else None
    key = prng.stream(seed, "precondition")
    keys = prng.indexed_keys(key, jnp.arange(len(x_0)))
    bound = bind(degrade, keys, x_0.shape, endpoints)
    bounds = objective.consistent_noise
    if not bounds:
        return measure_scales(
            bound,
            x_0,
            noise=objective.input_noise,
            centered=centered,
            target=objective.target,
        )
    level_keys, normal_keys = (
        prng.indexed_keys(jax.random.fold_in(key, i), jnp.arange(len(x_0)))
        for i in range(2)
    )
    levels = draw_noise_levels(level_keys, bounds)
    inverse = trained_consistent(_nothing, bound, levels)
    normal = prng.draw_normal(normal_keys, x_0.shape[1:])
    drawn = per_example(levels, x_0) * normal
    return measure_scales(
        bound,
        x_0,
        centered=centered,
        observed=jax.tree_util.Partial(_observed, inverse, drawn),
    )


def _observed(
    inverse: Consistent, noise: chex.Array, x_t: chex.Array, t: chex.Array
) -> chex.Array:
    """Returns what a network of consistent predictions takes in place of x_t."""
    return inverse.given(x_t + noise, t)


@jax.tree_util.Partial
def _nothing(x_t: chex.Array, t: chex.Array) -> chex.Array:
    del t
    return jnp.zeros_like(x_t)
