"""One optimizer step: a pure function, for one device or under `pmap`."""

import functools
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from colddiff_jax.data import Batch, Preprocessing
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.models.adapters import as_linen
from colddiff_jax.prng import indexed_keys, split_keys
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.optimizers import EmaDecay
from colddiff_jax.training.state import TrainState

Metrics = dict[str, chex.Array]
TrainStep = Callable[..., tuple[TrainState, Metrics]]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    ema_decay: EmaDecay,
    objective: Objective,
    preprocessing: Preprocessing,
    micro_batches: int = 1,
    *,
    paired: bool = False,
) -> TrainStep:
    """Builds the training step of a network, an optimizer and a moving average.

        L      = mean_b L_b
        params = params + optimizer(dL / dparams)
        ema    = d ema + (1 - d) params

    Every random draw (crop, flip, t, mask, dropout) is made per example, from the index
    of the step and the index of the example in the whole batch. The same batch
    therefore gives the same step on any number of devices.

    Args:
        model: the restorer R, whose call takes x and t, and may take `labels` and
            `dropout_keys`.
        optimizer: the optimizer.
        ema_decay: maps the step to the decay d.
        objective: the losses L_b.
        preprocessing: its random part, crops and flips, is applied here.
        micro_batches: parts of the batch that are processed one after the other and
            their gradients averaged: the same step up to rounding, with less memory.
        paired: whether an image and its endpoint are cropped and flipped alike.

    Returns:
        `train_step(state, batch, degrade, key, axis_name=None)`, where `batch` is a
        `Batch` (this device's shard under `pmap` over `axis_name`), `degrade` an
        unbound degradation and `key` the key of the run's "train" stream. It returns
        the new state and the metrics "loss" and "gradient_norm", float32 [].

    Example:
        >>> from colddiff_jax.training.state import create_state
        >>> optimizer, decay = optax.adam(1e-4), lambda step: 0.999
        >>> train_step = make_train_step(
        ...     model, optimizer, decay, Objective(), Preprocessing(image_size=32)
        ... )
        >>> state = create_state(params, optimizer)
        >>> batch = Batch(jnp.zeros((8, 32, 32, 3), jnp.uint8))
        >>> state, metrics = jax.jit(train_step)(state, batch, degrade, key)
    """
    model = as_linen(model)

    def train_step(
        state: TrainState,
        batch: Batch,
        degrade: Degradation,
        key: chex.PRNGKey,
        axis_name: str | None = None,
    ) -> tuple[TrainState, Metrics]:
        chex.assert_rank(batch.images, 4)
        chex.assert_type(batch.images, jnp.uint8)
        mean = (
            functools.partial(jax.lax.pmean, axis_name=axis_name)
            if axis_name
            else _identity
        )
        device = jax.lax.axis_index(axis_name) if axis_name else 0
        examples = device * len(batch.images) + jnp.arange(len(batch.images))
        crop_keys, endpoint_keys, keys = split_keys(
            indexed_keys(jax.random.fold_in(key, state.step), examples), 3
        )
        batch = batch._replace(images=preprocessing.augment(crop_keys, batch.images))
        if batch.endpoints is not None:
            if paired:
                endpoint_keys = jax.random.clone(crop_keys)
            endpoints = preprocessing.augment(endpoint_keys, batch.endpoints)
            batch = batch._replace(endpoints=endpoints)

        def mean_loss(params: Any, part: tuple[Batch, chex.PRNGKey]) -> chex.Array:
            return objective.losses(model, params, degrade, *part).mean()

        loss_and_gradient = functools.partial(
            jax.value_and_grad(mean_loss), state.params
        )
        loss, gradient = mean(
            _mean_over_parts(loss_and_gradient, (batch, keys), micro_batches)
        )
        norm = optax.tree.norm(gradient)
        # If only the norm overflows, so do Adam's squares, and they never recover: such
        # a gradient counts as not finite, for `apply_if_finite` and for the metrics.
        usable = jnp.isfinite(loss) & jnp.isfinite(norm)
        gradient = jax.tree.map(lambda g: jnp.where(usable, g, jnp.nan), gradient)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = ema_decay(state.step)
        ema_params = jax.tree.map(
            lambda ema, new: decay * ema + (1 - decay) * new, state.ema_params, params
        )
        new_state = TrainState(state.step + 1, params, ema_params, opt_state)
        return new_state, {"loss": loss, "gradient_norm": norm}

    return train_step


def _mean_over_parts(function: Callable[[Any], Any], batch: Any, num_parts: int) -> Any:
    """Returns the mean of function(part) over equal parts of a batch, one by one."""
    if num_parts == 1:
        return function(batch)
    function = jax.jit(function)  # Traced once, for its shapes and all parts.
    parts = jax.tree.map(lambda x: x.reshape(num_parts, -1, *x.shape[1:]), batch)
    like = jax.eval_shape(
        lambda parts: function(jax.tree.map(lambda x: x[0], parts)), parts
    )
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)

    def add(total: Any, part: Any) -> tuple[Any, tuple[()]]:
        return jax.tree.map(jnp.add, total, function(part)), ()

    total, _ = jax.lax.scan(add, zeros, parts)
    return jax.tree.map(lambda x: x / num_parts, total)


def _identity(tree: Any) -> Any:
    return tree
