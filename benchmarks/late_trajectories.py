"""Training that also learns from whole trajectories of the averaged weights.

    L = mean of d(R(D(x_0, t), t) - x_0) over a batch
        and of d(R(x_s, s) - x_0) over half a batch

x_s is a random step of Algorithm 2 from x_T, by the averaged weights, without gradient.
The loss of clean inputs is kept whole. Trajectories serve several steps of training,
so that walking costs little.
"""

import dataclasses
import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax import devices, prng, sampling
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment.model import Model
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.training.batches import gather, open_batches
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.task import Task, train_step

REUSED = 10  # Steps of training that learn from the same trajectories.


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithTrajectories(Objective):
    """The losses of a batch, and those of images on trajectories.

    Attributes:
        x_0: clean images, float32 [N, H, W, C], for N at most the size of a batch.
        trajectories: x_T ... x_0 of each, [T + 1, N, H, W, C].
    """

    x_0: chex.Array
    trajectories: chex.Array

    def losses(
        self,
        model: Any,
        params: Any,
        degrade: Degradation,
        batch: Batch,
        keys: chex.PRNGKey,
    ) -> chex.Array:
        """Returns float32 [B + N]."""
        batch_keys, t_keys = prng.split_keys(keys, 2)
        clean = super().losses(model, params, degrade, batch, batch_keys)
        T, N = degrade.num_steps, len(self.x_0)
        t = prng.draw_steps(t_keys[:N], T)
        x_t = self.trajectories[T - t, jnp.arange(N)]
        errors = model.apply({"params": params}, x_t, t) - self.x_0
        walked = self.distance(errors).mean(axis=(1, 2, 3))
        return jnp.concatenate([clean, walked])


def train(model: Model, task: Task, state: TrainState, first_step: int) -> Any:
    """Returns the averaged weights after the remaining steps, on one device.

    Args:
        model: the model.
        task: its task, with images that fit on the device.
        state: the state after `first_step` steps.
        first_step: the number of steps it has taken.
    """
    walk = jax.jit(functools.partial(_walk, model.network))
    step = jax.jit(functools.partial(_step, model, task), donate_argnums=0)
    walk_key, step_key = jax.random.split(prng.stream(task.seed, "late trajectories"))
    with open_batches(task, first_step) as training:
        for n in range(task.training.num_steps - first_step):
            # Indices are sent as [devices, 1, images of each].
            indices = next(training.batches).images.reshape(-1)
            batch = gather(training.resident, Batch(indices))
            if n % REUSED == 0:
                key = jax.random.fold_in(walk_key, n)
                walked = walk(state.ema_params, model.degrade, batch, key)
            state = step(state, batch, model.degrade, walked, step_key)
    return devices.replicate(state.ema_params)


def _walk(
    network: nn.Module,
    params: Any,
    degrade: Degradation,
    batch: Batch,
    key: chex.PRNGKey,
) -> dict[str, chex.Array]:
    """Walks from x_T of half a batch."""
    half = jnp.arange(len(batch.images) // 2)
    x_0, D, x_T = degrade_batch(
        degrade,
        prng.indexed_keys(key, half),
        Batch(batch.images[half]),
        degrade.num_steps,
    )
    R = functools.partial(network.apply, {"params": params})
    result = sampling.sample_alg2(R, D, x_T, return_trajectory=True)
    return {"x_0": x_0, "trajectories": result.trajectory}


def _step(
    model: Model,
    task: Task,
    state: TrainState,
    batch: Batch,
    degrade: Degradation,
    walked: dict[str, chex.Array],
    key: chex.PRNGKey,
) -> TrainState:
    """Takes a step that learns from a batch and from trajectories."""
    objective = WithTrajectories(**vars(task.objective), **walked)
    task = dataclasses.replace(task, objective=objective)
    return train_step(model, task)(state, batch, degrade, key)[0]
