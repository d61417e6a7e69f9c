"""One optimiser step, as a pure function that runs with or without devices."""

import functools
import zlib
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from colddiff_jax import images
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.losses import Distance, restoration_loss
from colddiff_jax.training.state import EmaDecay, TrainState

Metrics = dict[str, chex.Array]
TrainStep = Callable[..., tuple[TrainState, Metrics]]


def stream(seed: int, name: str) -> chex.PRNGKey:
    """The key of a named stream of random numbers, a pure function of (seed, name)."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def example_keys(key: chex.PRNGKey, examples: chex.Array) -> chex.PRNGKey:
    """One key per example, [B], by the example's number in the batch or data set."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, examples)


def draw_steps(keys: chex.PRNGKey, num_steps: int) -> chex.Array:
    """Draws t ~ U{1..num_steps} from each of the keys [B]; int32 [B]."""
    return jax.vmap(lambda key: jax.random.randint(key, (), 1, num_steps + 1))(keys)


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    ema_decay: EmaDecay,
    distance: Distance,
    micro_batches: int = 1,
) -> TrainStep:
    """Builds the training step of a network, an optimiser and an average.

        t ~ U{1..T},  L = mean_b distance(R(D(x_b, t_b), t_b) - x_b)
        ema <- d ema + (1 - d) params

    The step draws everything random (t, the mask, dropout) per example, from the number
    of the step and the number of the example in the whole batch. The same batch
    therefore gives the same step on any number of devices.

    Args:
        model: the restorer R.
        optimizer: the optimiser.
        ema_decay: maps the step to the decay d.
        distance: the penalty of a difference of pixel values; the paper's is `l1()`.
        micro_batches: parts of the batch that are worked on one after the other, their
            gradients averaged: less memory for the same step, to rounding.

    Returns:
        `train_step(state, batch, degrade, key, axis_name=None)`, where `batch` is uint8
        [B, H, W, C] (this device's share under `pmap` over `axis_name`), `degrade` an
        unbound degradation and `key` the key of the run's "train" stream. It returns
        the new state and the metrics "loss" and "gradient_norm", float32 [].
    """

    def train_step(
        state: TrainState,
        batch: chex.Array,
        degrade: Degradation,
        key: chex.PRNGKey,
        axis_name: str | None = None,
    ) -> tuple[TrainState, Metrics]:
        chex.assert_rank(batch, 4)
        chex.assert_type(batch, jnp.uint8)
        mean = (
            functools.partial(jax.lax.pmean, axis_name=axis_name)
            if axis_name
            else _same
        )
        device = jax.lax.axis_index(axis_name) if axis_name else 0
        examples = device * len(batch) + jnp.arange(len(batch))
        t_keys, degrade_keys, dropout_keys = (
            example_keys(key, examples)
            for key in jax.random.split(jax.random.fold_in(key, state.step), 3)
        )
        x_0 = images.to_float(batch)
        t = draw_steps(t_keys, degrade.num_steps)

        def batch_loss(params: Any, part: tuple) -> chex.Array:
            x_0, t, degrade_keys, dropout_keys = part
            bound = degrade.bind(degrade_keys, x_0.shape)

            def restore_fn(x_t: chex.Array, t: chex.Array) -> chex.Array:
                return model.apply(
                    {"params": params}, x_t, t, dropout_keys=dropout_keys
                )

            losses = restoration_loss(restore_fn, bound, x_0, t, distance=distance)
            return losses.mean()

        loss_and_gradient = functools.partial(
            jax.value_and_grad(batch_loss), state.params
        )
        loss, gradient = mean(
            _mean_over_parts(
                loss_and_gradient, (x_0, t, degrade_keys, dropout_keys), micro_batches
            )
        )
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = ema_decay(state.step)
        ema_params = jax.tree.map(
            lambda ema, new: decay * ema + (1 - decay) * new, state.ema_params, params
        )
        new_state = TrainState(state.step + 1, params, ema_params, opt_state)
        return new_state, {"loss": loss, "gradient_norm": optax.tree.norm(gradient)}

    return train_step


def _mean_over_parts(function: Callable[[Any], Any], batch: Any, num_parts: int) -> Any:
    """The mean of function(part) over equal parts of a batch, one after the other."""
    if num_parts == 1:
        return function(batch)
    parts = jax.tree.map(lambda x: x.reshape(num_parts, -1, *x.shape[1:]), batch)
    like = jax.eval_shape(
        lambda parts: function(jax.tree.map(lambda x: x[0], parts)), parts
    )
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)

    def add(total: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(part)), None

    total, _ = jax.lax.scan(add, zeros, parts)
    return jax.tree.map(lambda x: x / num_parts, total)


def _same(tree: Any) -> Any:
    return tree
