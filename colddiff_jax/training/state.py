"""The state of a training run, and the averages and optimisers that move it."""

from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

EmaDecay = Callable[[chex.Array], chex.Array]
"""Maps the number of optimiser steps taken before this one to the decay d in [0, 1]."""


@flax.struct.dataclass
class TrainState:
    """Everything a run must not lose; no keys and no functions.

    Attributes:
        step: number of optimiser steps taken, int32 [].
        params: network parameters, float32.
        ema_params: their moving average, used for every evaluation and sample.
        opt_state: the state of the optimiser.
    """

    step: chex.Array
    params: Any
    ema_params: Any
    opt_state: optax.OptState


def create_state(
    key: chex.PRNGKey,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, int, int],
) -> TrainState:
    """Makes the state before the first step.

    Args:
        key: for the initial parameters.
        model: the restorer.
        optimizer: the optimiser.
        image_shape: (H, W, C).

    Returns:
        A state at step 0 whose average equals its parameters.
    """
    x, t = jnp.zeros((1, *image_shape)), jnp.ones((1,), jnp.int32)
    params = model.init(key, x, t)["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy: the state is donated, and a buffer cannot be donated twice.
        ema_params=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
    )


def make_optimizer(
    *,
    learning_rate: float,
    warmup_steps: int = 0,
    decay_steps: int = 0,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Adam or AdamW, with a linear warm-up and, if asked for, a cosine decay to zero.

    Args:
        learning_rate: its peak.
        warmup_steps: steps over which it rises from zero.
        decay_steps: step at which it reaches zero again, warm-up included; 0 keeps it
            constant.
        weight_decay: AdamW's, of the kernels and not of biases and scales; 0 is Adam.
        clip_norm: the largest norm of the whole gradient, longer ones being shortened;
            0 for none.

    Returns:
        An optax optimiser. With the defaults it is the paper's: Adam at a constant
        rate, betas (0.9, 0.999), epsilon 1e-8.

    Raises:
        ValueError: a negative number, a rate of zero, or a decay that ends before the
            warm-up.
    """
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, got {learning_rate}")
    for name, value in (
        ("warmup_steps", warmup_steps),
        ("decay_steps", decay_steps),
        ("weight_decay", weight_decay),
        ("clip_norm", clip_norm),
    ):
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    if decay_steps and decay_steps <= warmup_steps:
        raise ValueError(
            f"decay_steps must be 0 or greater than warmup_steps = {warmup_steps}, got "
            f"{decay_steps}"
        )
    rate: optax.ScalarOrSchedule = learning_rate
    if decay_steps:
        rate = optax.warmup_cosine_decay_schedule(
            0.0, learning_rate, warmup_steps, decay_steps
        )
    elif warmup_steps:
        rate = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    optimizer = (
        optax.adamw(rate, weight_decay=weight_decay, mask=_are_kernels)
        if weight_decay
        else optax.adam(rate)
    )
    if not clip_norm:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)


def _are_kernels(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def warmup_ema(*, decay: float) -> EmaDecay:
    """D = min(decay, (1 + n) / (10 + n)): short memory at first, `decay` in the end.

    Raises:
        ValueError: a decay outside 0..1.
    """
    _check_decay(decay)
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def periodic_ema(*, decay: float, every: int, start: int) -> EmaDecay:
    """The paper's: average every `every` steps, and copy the parameters before `start`.

    Raises:
        ValueError: a decay outside 0..1, or fewer than one step between averages.

    Reference:
        The official code: decay 0.995, every 10 steps, copies before step 2,000.
    """
    _check_decay(decay)
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    return lambda step: jnp.where(
        step % every != 0, 1.0, jnp.where(step < start, 0.0, decay)
    )


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must lie in [0, 1], got {decay}")


EMA_DECAYS: dict[str, Callable[..., EmaDecay]] = {
    "warmup": warmup_ema,
    "periodic": periodic_ema,
}
