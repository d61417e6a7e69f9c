"""Wrappers around degradations: composition and quantisation to 8 bits."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.base import Degradation


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Composition:
    """A composition of several degradations. Made by `compose`.

    Attributes:
        degradations: the members, in the order in which they are applied.
        shares: the steps of each member, t_i for t = 0 ... T, int32 [T + 1] each.
        num_steps: T.

    Example:
        >>> degrade = compose(fade([0.5]), fade([0.8, 0.5]))
        >>> degrade.num_steps, degrade(jnp.ones((1, 1, 1, 1)), t=2).item()
        (2, 0.25)
    """

    degradations: tuple[Degradation, ...]
    shares: tuple[chex.Array, ...]
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return f"compose({', '.join(map(repr, self.degradations))})"

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Binds every member with its own key."""
        keys = prng.keys_per_example(key, shape[0])
        num_members = len(self.degradations)
        member_keys = jax.vmap(lambda key: jax.random.split(key, num_members))(keys)
        bound = (
            member.bind(member_keys[:, i], shape)
            for i, member in enumerate(self.degradations)
        )
        return dataclasses.replace(self, degradations=tuple(bound))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps)
        x_t = x
        for member, steps in zip(self.degradations, self.shares, strict=True):
            x_t = member(x_t, steps[t])
        return x_t


def compose(*degradations: Degradation) -> Composition:
    """Makes a degradation that applies several others in sequence.

        D(x, t) = D_n(... D_1(x, t_1), t_n),    t_i = round(t T_i / T),  T = max_i T_i

    The step t is scaled to the number of steps of each member, so that D(x, T) applies
    every member at full severity.

    Args:
        *degradations: the members, in the order in which they are applied.

    Returns:
        A degradation with the largest T of its members. It must be bound before it is
        called if any member must be; every member is bound with its own key.

    Raises:
        ValueError: no degradations were given.
        TypeError: an argument is not a degradation.

    Example:
        >>> blur = gaussian_blur(32, 10 * [1.0], kernel_size=5)
        >>> mask = gaussian_mask(32, 20 * [2.0], center="random")
        >>> degrade = compose(blur, desaturate(schedules.linear_decay(10)), mask)
        >>> degrade.num_steps
        20

    Reference:
        Not in the paper, which applies one degradation at a time.
    """
    if not degradations:
        raise ValueError("compose needs at least one degradation, got none")
    for degradation in degradations:
        base.check_degradation("compose", degradation)
    num_steps = max(degradation.num_steps for degradation in degradations)
    t = np.arange(num_steps + 1)
    steps = (  # Rounded half up, in integer arithmetic.
        (2 * t * degradation.num_steps + num_steps) // (2 * num_steps)
        for degradation in degradations
    )
    return Composition(
        degradations=degradations,
        shares=tuple(jnp.asarray(t_i, jnp.int32) for t_i in steps),
        num_steps=num_steps,
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Quantized:
    """A degradation rounded to 8 bits. Made by `quantize`.

    Attributes:
        degradation: the wrapped degradation.

    Example:
        >>> degrade = quantize(fade([0.5]))
        >>> round(degrade(jnp.full((1, 1, 1, 1), 0.3), t=1).item(), 4)   # not 0.15
        0.1451
    """

    degradation: Degradation

    def __repr__(self) -> str:
        return f"quantize({self.degradation!r})"

    @property
    def num_steps(self) -> int:
        """T of the wrapped degradation."""
        return self.degradation.num_steps

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Binds the wrapped degradation."""
        return dataclasses.replace(self, degradation=self.degradation.bind(key, shape))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps)
        x_t = self.degradation(x, t).astype(jnp.float32)
        rounded = jnp.trunc((x_t + 1) / 2 * 255) / 255 * 2 - 1
        # Straight-through gradient, since that of the rounding is zero.
        x_t = x_t + jax.lax.stop_gradient(rounded - x_t)
        return base.keep_clean(x, x_t, t)


def quantize(degradation: Degradation) -> Quantized:
    """Makes a degradation that rounds the output of another one to 8 bits.

        D_q(x, t) = 2 trunc(255 (D(x, t) + 1) / 2) / 255 - 1    for t > 0

    This is a small perturbation of the training input, of mean -1/255 and standard
    deviation 0.0023 in [-1, 1], not a degradation in its own right. Train with it and
    sample without it, as the published runs do.

    Args:
        degradation: the degradation to wrap.

    Returns:
        A degradation with the same T and gradient as the wrapped one, which must be
        bound if the wrapped one must be.

    Raises:
        TypeError: the argument is not a degradation.

    Example:
        >>> blur = gaussian_blur(32, schedules.exponential(20, rate=0.01),
        ...                      kernel_size=11, to_mean=True)
        >>> for_training = quantize(blur)

    Reference:
        The flag `discrete` of the official code, which truncates towards zero at every
        t in training, for the blurs used for generation and for the MNIST and CIFAR-10
        masks; the sampler of the latter also truncates x_T, once. There D(x, 0) does
        not occur; here it remains x.
    """
    base.check_degradation("quantize", degradation)
    return Quantized(degradation=degradation)
