"""The training objective: the random draws of a batch, and its losses."""

import dataclasses
import functools
from typing import Any, get_args

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax import prng
from colddiff_jax.checks import check_choice, check_number
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation, per_example
from colddiff_jax.degradations.targets import Compare, Target, prediction_errors
from colddiff_jax.experiment.pairs import seen_image
from colddiff_jax.losses import Distance
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.sampling import RestoreFn
from colddiff_jax.sampling.consistency import trained_consistent
from colddiff_jax.sampling.seeing import SeesImage


def _not_negative(value: float) -> bool:
    return value >= 0


def _is_fraction(value: float) -> bool:
    return 0 <= value <= 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """The losses of a batch; the defaults are the paper's.

        t ~ U{1..T},   L_b = w_t mean over pixels of distance(R(x_t, t) - y)

    Attributes:
        distance: the penalty of a difference of pixel values.
        target: what R predicts, "clean" for y = x_0, or "previous" for the mean of
            D(x_0, t - 1) over its noise, which of all samplers only `sample_ihd` takes.
        compare: "predictions" for R(x_t, t) - y, or "degraded" for the difference that
            is left after the degradation, D(R(x_t, t), t) - D(x_0, t), without noise.
        weights: w, the weights of the losses, one number per step; empty for ones.
        frequencies: how often each step is drawn, relative to the others, one number
            per step; empty for equally often.
        input_noise: standard deviation of Gaussian noise added to x_t. It mimics the
            errors of the network that x_t contains during sampling.
        rollouts: fraction of the examples, in [0, 1], whose input comes from a sampler:
            x_t is one step of Algorithm 2 from a later t',

                t' ~ U{t+1..T},   x_t = x_t' - D(x0_hat, t') + D(x0_hat, t)

            with x0_hat = R(x_t', t'), and no gradient through it. Any fraction above 0
            costs one more forward pass of the whole batch.
        label_dropout: fraction of the examples, in [0, 1], whose label is dropped,
            which classifier-free guidance requires.
        consistent_noise: the range of the noise of the model's consistent predictions,
            through which the network is then trained; empty for none. The noise of each
            example, added to x_t, has a deviation of uniform logarithm.
        sees_endpoint: whether R is also given the image that x_t is blended with.

    Reference:
        Bansal et al. (2022), section 3.1, use none of these options. Noise: Rissanen et
        al. (2022), arXiv:2206.13397, section 3, whose target is "previous". "degraded":
        Daras et al. (2022), arXiv:2209.05442, soft score matching, where with the
        weights 1 / sigma_t^4 it is the error of the score (D(x0_hat, t) - x_t) /
        sigma_t^2. The network's own output as input: Yen et al. (2022),
        arXiv:2211.02527; the step from any later t' is ours. Dropped labels: Ho and
        Salimans (2022), arXiv:2207.12598. Frequencies, such as
        `schedules.logit_normal`: Esser et al. (2024), arXiv:2403.03206, section 3.1.
    """

    distance: Distance = jnp.abs
    target: Target = "clean"
    compare: Compare = "predictions"
    weights: tuple[float, ...] = ()
    frequencies: tuple[float, ...] = ()
    input_noise: float = 0.0
    rollouts: float = 0.0
    label_dropout: float = 0.1
    consistent_noise: tuple[float, ...] = ()
    sees_endpoint: bool = False

    def __post_init__(self) -> None:
        check_choice("target", self.target, get_args(Target))
        check_choice("compare", self.compare, get_args(Compare))
        check_number("input_noise", self.input_noise, "not be negative", _not_negative)
        for name in ("rollouts", "label_dropout"):
            check_number(name, getattr(self, name), "lie in 0..1", _is_fraction)
        for name in ("weights", "frequencies"):
            for value in getattr(self, name):
                check_number(name, value, "not be negative", _not_negative)
        if self.frequencies and not any(self.frequencies):
            raise ValueError("frequencies must not all be 0; leave them empty")

    def losses(
        self,
        model: nn.Module,
        params: Any,
        degrade: Degradation,
        batch: Batch,
        keys: chex.PRNGKey,
    ) -> chex.Array:
        """Returns the losses of a batch, float32 [B].

        Args:
            model: the restorer R.
            params: its parameters, to be differentiated.
            degrade: D, unbound.
            batch: the images, of the size of the network.
            keys: one per example, [B], for all draws.
        """
        num_steps = degrade.num_steps
        t_keys, degrade_keys, noise_keys, roll_keys, choice_keys, label_keys, drop = (
            prng.split_keys(keys, 7)
        )
        t = self._draw_steps(t_keys, num_steps)
        x_0, bound, x_t = degrade_batch(degrade, degrade_keys, batch, t)
        noise = None
        if self.consistent_noise:
            noise_keys, level_keys, normal_keys = prng.split_keys(noise_keys, 3)
            noise = draw_noise_levels(level_keys, self.consistent_noise)
        options: dict[str, Any] = {}
        if batch.labels is not None:
            dropped = prng.draw_choice(label_keys, self.label_dropout)
            null = model.num_classes
            options["labels"] = jnp.where(dropped, null, batch.labels)

        def restore_fn(x: chex.Array, t: chex.Array, **dropout: Any) -> chex.Array:
            network: RestoreFn = functools.partial(
                model.apply, {"params": params}, **options, **dropout
            )
            if noise is not None:
                network = trained_consistent(network, bound, noise)
            if self.sees_endpoint:
                network = SeesImage(network, seen_image(bound))
            return network(x, t)

        if self.rollouts:
            later = prng.draw_later_steps(roll_keys, t, num_steps)
            rolled = jax.lax.stop_gradient(roll_out(restore_fn, bound, x_0, later, t))
            chosen = prng.draw_choice(choice_keys, self.rollouts)
            x_t = jnp.where(per_example(chosen, x_t), rolled, x_t)
        if noise is not None:
            x_t += per_example(noise, x_t) * prng.draw_normal(
                normal_keys, x_t.shape[1:]
            )
        if self.input_noise:
            x_t += self.input_noise * prng.draw_normal(noise_keys, x_t.shape[1:])
        predicted = restore_fn(x_t, t, dropout_keys=drop)
        chex.assert_equal_shape([predicted, x_0])
        errors = prediction_errors(
            bound, predicted, x_0, t, target=self.target, compare=self.compare
        )
        losses = self.distance(errors).mean(axis=(1, 2, 3))
        if self.weights:
            losses *= jnp.asarray(self.weights, jnp.float32)[t - 1]
        return losses

    def _draw_steps(self, keys: chex.PRNGKey, num_steps: int) -> chex.Array:
        if self.frequencies:
            return prng.draw_steps_by_frequency(keys, self.frequencies)
        return prng.draw_steps(keys, num_steps)


def roll_out(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_0: chex.Array,
    later: chex.Array,
    t: chex.Array,
) -> chex.Array:
    """Returns x_t from D(x_0, later) by one step of Algorithm 2.

    Args:
        restore_fn: R.
        degrade: D, bound.
        x_0: clean images, float [B, H, W, C].
        later: t', int32 [B], in t..T; where it equals t, the result is D(x_0, t).
        t: int32 [B].
    """
    x_t = degrade(x_0, later)
    x0_hat = restore_fn(x_t, later)
    return x_t - degrade(x0_hat, later) + degrade(x0_hat, t)


def draw_noise_levels(keys: chex.PRNGKey, bounds: tuple[float, ...]) -> chex.Array:
    """Draws one deviation per key, float32 [B]; its logarithm is uniform."""
    low, high = bounds
    ratio = jax.vmap(jax.random.uniform)(keys)
    return low * (high / low) ** ratio
