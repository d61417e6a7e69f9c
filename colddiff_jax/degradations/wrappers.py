"""Degradations made of others: one after the other, or rounded to bytes."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations import base
from colddiff_jax.degradations.base import Degradation


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Composition:
    """Several degradations one after the other. Made by `compose`.

    Attributes:
        degradations: the members, the first to be applied first.
        shares: the step of each member at every t, int32 [T + 1] each.
        num_steps: T.
    """

    degradations: tuple[Degradation, ...]
    shares: tuple[chex.Array, ...]
    num_steps: int = dataclasses.field(metadata={"static": True})

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Binds every member to a key of its own."""
        keys = base.example_keys(key, shape[0])
        number = len(self.degradations)
        per_member = jax.vmap(lambda key: jax.random.split(key, number))(keys)
        bound = (
            member.bind(per_member[:, i], shape)
            for i, member in enumerate(self.degradations)
        )
        return dataclasses.replace(self, degradations=tuple(bound))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """D(x, t) for float images x [B, H, W, C] and an integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps)
        x_t = x
        for member, shares in zip(self.degradations, self.shares, strict=True):
            x_t = member(x_t, shares[t])
        return x_t


def compose(*degradations: Degradation) -> Composition:
    """Makes a degradation that applies others one after the other.

        D(x, t) = D_n(... D_1(x, t_1), t_n),    t_i = round(t T_i / T),  T = max_i T_i

    Each grows at its own share of t, so that D(x, T) has each at its worst.

    Args:
        *degradations: the degradations, the first to be applied first.

    Returns:
        A degradation with the largest T of its members. It must be bound before it is
        called if one of them must; each draws with a key of its own.

    Raises:
        ValueError: no degradation.
        TypeError: an argument that is none.

    Example:
        >>> blur = gaussian_blur(32, 10 * [1.0], kernel_size=5)
        >>> mask = gaussian_mask(32, 20 * [2.0], center="random")
        >>> degrade = compose(blur, desaturate(schedules.linear_decay(10)), mask)
        >>> degrade.num_steps
        20

    Reference:
        Not in the paper, which degrades in one way at a time.
    """
    if not degradations:
        raise ValueError("compose needs at least one degradation, got none")
    for degradation in degradations:
        _check_degradation("compose", degradation)
    num_steps = max(degradation.num_steps for degradation in degradations)
    t = np.arange(num_steps + 1)
    shares = (  # Rounded half up, in whole numbers.
        (2 * t * degradation.num_steps + num_steps) // (2 * num_steps)
        for degradation in degradations
    )
    return Composition(
        degradations=degradations,
        shares=tuple(jnp.asarray(share, jnp.int32) for share in shares),
        num_steps=num_steps,
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Quantized:
    """Another degradation, its images rounded to bytes. Made by `quantize`.

    Attributes:
        degradation: the other degradation.
    """

    degradation: Degradation

    @property
    def num_steps(self) -> int:
        """T, that of the other degradation."""
        return self.degradation.num_steps

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Binds the other degradation."""
        return dataclasses.replace(self, degradation=self.degradation.bind(key, shape))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """D(x, t) for float images x [B, H, W, C] and an integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps)
        x_t = self.degradation(x, t).astype(jnp.float32)
        rounded = jnp.trunc((x_t + 1) / 2 * 255) / 255 * 2 - 1
        # The gradient passes as if nothing had been rounded; its own is zero.
        x_t = x_t + jax.lax.stop_gradient(rounded - x_t)
        return base.keep_clean(x, x_t, t)


def quantize(degradation: Degradation) -> Quantized:
    """Makes a degradation that rounds the images of another one to bytes.

        D_q(x, t) = 2 trunc(255 (D(x, t) + 1) / 2) / 255 - 1    for t > 0

    This is a small perturbation of the training input, of mean -1/255 and standard
    deviation 0.0023 in [-1, 1], not a degradation of its own. Train with it and sample
    without, as the published runs do.

    Args:
        degradation: the degradation to wrap.

    Returns:
        A degradation with the same T, to be bound if the other one must be. Its
        gradient is that of the other one.

    Raises:
        TypeError: the argument is no degradation.

    Example:
        >>> blur = gaussian_blur(128, schedules.exponential(300, rate=0.01),
        ...                      kernel_size=27, to_mean=True)
        >>> for_training = quantize(blur)

    Reference:
        The flag `discrete` of the official code, which truncates towards zero at every
        t in training: of the blurs for generation, and of the masks of MNIST and
        CIFAR-10, whose sampler also truncates x_T, once. There D(x, 0) is never seen;
        here it stays x.
    """
    _check_degradation("quantize", degradation)
    return Quantized(degradation=degradation)


def _check_degradation(caller: str, value: object) -> None:
    if isinstance(value, type) or not isinstance(value, Degradation):
        raise TypeError(
            f"{caller} takes degradations, got {value!r}; from_function makes one of a "
            "function"
        )
