"""What a restorer is trained on: the draws of one batch, and its losses."""

import dataclasses
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax import images
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation, per_example
from colddiff_jax.losses import Distance
from colddiff_jax.sampling.walk import RestoreFn
from colddiff_jax.training import draws


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """How the losses of a batch are made; the defaults are the paper's.

        t ~ U{1..T},   L_b = w_t mean over pixels of distance(R(x_t, t) - x_0)

    Attributes:
        distance: the penalty of a difference of pixel values.
        weights: w, T numbers, or none for ones.
        input_noise: standard deviation of Gaussian noise that is added to x_t. In a
            sampler x_t carries the network's errors; the noise stands in for them.
        rollouts: share of the examples, in [0, 1], that are trained on what a sampler
            would show them: x_t is one step of Algorithm 2 from a later t',

                t' ~ U{t+1..T},   x_t = x_t' - D(x0_hat, t') + D(x0_hat, t)

            with x0_hat = R(x_t', t'), and no gradient through it. Any share above 0
            costs one more forward pass of the whole batch.
        label_dropout: share of the examples, in [0, 1], that are shown without their
            label, so that the label can guide the sampler.

    Reference:
        Bansal et al. (2022), section 3.1, have neither. Noise: Rissanen et al. (2022),
        arXiv:2206.13397, section 3. The network's own output as input: Yen et al.
        (2022), arXiv:2211.02527; the step from any later t' is ours. Labels left out:
        Ho and Salimans (2022), arXiv:2207.12598.
    """

    distance: Distance = jnp.abs
    weights: tuple[float, ...] = ()
    input_noise: float = 0.0
    rollouts: float = 0.0
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.input_noise < 0:
            raise ValueError(
                f"input_noise must not be negative, got {self.input_noise}"
            )
        for name in ("rollouts", "label_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")

    def losses(
        self,
        model: nn.Module,
        params: Any,
        degrade: Degradation,
        batch: Batch,
        keys: chex.PRNGKey,
    ) -> chex.Array:
        """The losses of a batch, float32 [B]; all draws come from the examples' keys.

        Args:
            model: the restorer R.
            params: its parameters, which the gradient is taken of.
            degrade: D, unbound.
            batch: the images, of the size that the network sees.
            keys: one per example, [B].
        """
        x_0 = images.to_float(batch.images)
        num_steps = degrade.num_steps
        t_keys, degrade_keys, noise_keys, roll_keys, choice_keys, label_keys, drop = (
            draws.split_keys(keys, 7)
        )
        t = draws.draw_steps(t_keys, num_steps)
        bound = bind(degrade, degrade_keys, x_0.shape, batch.endpoints)
        options: dict[str, Any] = {}
        if batch.labels is not None:
            dropped = draws.draw_choice(label_keys, self.label_dropout)
            null = model.num_classes
            options["labels"] = jnp.where(dropped, null, batch.labels)

        def restore_fn(x: chex.Array, t: chex.Array, **dropout: Any) -> chex.Array:
            return model.apply({"params": params}, x, t, **options, **dropout)

        x_t = bound(x_0, t)
        if self.rollouts:
            later = draws.draw_later_steps(roll_keys, t, num_steps)
            rolled = jax.lax.stop_gradient(roll_out(restore_fn, bound, x_0, later, t))
            chosen = draws.draw_choice(choice_keys, self.rollouts)
            x_t = jnp.where(per_example(chosen, x_t), rolled, x_t)
        if self.input_noise:
            normal = jax.vmap(lambda key: jax.random.normal(key, x_t.shape[1:]))
            x_t += self.input_noise * normal(noise_keys)
        x0_hat = restore_fn(x_t, t, dropout_keys=drop)
        chex.assert_equal_shape([x0_hat, x_0])
        losses = self.distance(x0_hat - x_0).mean(axis=(1, 2, 3))
        if self.weights:
            losses *= jnp.asarray(self.weights, jnp.float32)[t - 1]
        return losses


def bind(
    degrade: Degradation,
    keys: chex.PRNGKey,
    shape: tuple[int, ...],
    endpoints: chex.Array | None,
) -> Degradation:
    """Draws what is random in D, and gives a blend its endpoints, uint8 like x."""
    bound = degrade.bind(keys, shape)
    if endpoints is None:
        return bound
    return bound.with_endpoint(images.to_float(endpoints))  # type: ignore[attr-defined]


def roll_out(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_0: chex.Array,
    later: chex.Array,
    t: chex.Array,
) -> chex.Array:
    """The x_t that one step of Algorithm 2 makes of D(x_0, later).

    Args:
        restore_fn: R.
        degrade: D, bound.
        x_0: clean images, float [B, H, W, C].
        later: int32 [B], in t..T; where it is t, the result is D(x_0, t).
        t: int32 [B].
    """
    x_t = degrade(x_0, later)
    x0_hat = restore_fn(x_t, later)
    return x_t - degrade(x0_hat, later) + degrade(x0_hat, t)
