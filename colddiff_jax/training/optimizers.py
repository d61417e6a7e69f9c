"""The optimizer, and the decay of the moving average of the parameters."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from colddiff_jax.checks import check_integer, check_number

EmaDecay = Callable[[chex.Array], chex.Array]
"""Maps the number of optimizer steps taken before this one to the decay d in [0, 1]."""


def make_optimizer(
    *,
    learning_rate: float = 2e-4,
    warmup_steps: int = 1000,
    decay_steps: int = 0,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Returns Adam or AdamW with a linear warm-up and an optional cosine decay to zero.

    Args:
        learning_rate: the peak rate.
        warmup_steps: steps over which the rate rises linearly from zero.
        decay_steps: the step at which the rate reaches zero, warm-up included; 0 for a
            constant rate.
        weight_decay: AdamW's weight decay, on kernels but not on biases and scales; 0
            for Adam.
        clip_norm: the global norm to which larger gradients are scaled down; 0 for no
            clipping.

    Returns:
        An optax optimizer with betas (0.9, 0.999) and epsilon 1e-8. The paper's is Adam
        with learning_rate=2e-5 and warmup_steps=0.

    Raises:
        ValueError: a negative number, a rate outside (0, 1], or a decay that ends
            before the warm-up.
    """
    check_number("learning_rate", learning_rate, "lie in (0, 1]", lambda r: 0 < r <= 1)
    check_integer("warmup_steps", warmup_steps, least=0)
    check_integer("decay_steps", decay_steps, least=0)
    for name, value in (("weight_decay", weight_decay), ("clip_norm", clip_norm)):
        check_number(name, value, "not be negative", lambda number: number >= 0)
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


def warmup_ema(*, decay: float = 0.9999) -> EmaDecay:
    """Returns d_n = min(decay, (1 + n) / (10 + n)): a short average at first.

    Args:
        decay: the fraction of the average that a step keeps, in [0, 1).

    Raises:
        ValueError: a decay outside [0, 1).
    """
    _check_decay(decay)
    return lambda step: jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def periodic_ema(*, decay: float, every: int, start: int) -> EmaDecay:
    """Returns the paper's decay: d = `decay` at every `every`-th step, 1 in between.

    Before step `start`, d is 0 instead of `decay`: the average copies the parameters.

    Args:
        decay: the fraction of the average that a step keeps, in [0, 1).
        every: steps between two updates of the average.
        start: the step before which the average copies the parameters.

    Raises:
        ValueError: a decay outside [0, 1), or an interval below one step.

    Reference:
        The official code: decay 0.995, every 10 steps, copies before step 2,000.
    """
    _check_decay(decay)
    check_integer("every", every)
    check_integer("start", start, least=0)
    return lambda step: jnp.where(
        step % every != 0, 1.0, jnp.where(step < start, 0.0, decay)
    )


def _check_decay(decay: float) -> None:
    # At 1 the average would stay at the initial parameters.
    check_number("decay", decay, "lie in [0, 1)", lambda d: 0 <= d < 1)


EMA_DECAYS: dict[str, Callable[..., EmaDecay]] = {
    "warmup": warmup_ema,
    "periodic": periodic_ema,
}
"""The decays by the names that configurations use."""
