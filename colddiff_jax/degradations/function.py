"""Anybody's own degradation, from a plain function."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp

from colddiff_jax.degradations import base
from colddiff_jax.schedules import check_num_steps


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class FunctionDegradation:
    """A degradation given by a function of one image. Made by `from_function`.

    Attributes:
        fn: the function as a pytree, so that arrays bound to it are traced, not baked
            in.
        num_steps: T.
    """

    fn: jax.tree_util.Partial
    num_steps: int = dataclasses.field(metadata={"static": True})

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: the function has nothing to draw."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """D(x, t) for float images x [B, H, W, C] and an integer t [] or [B]."""
        x = base.check_images(x)
        t = base.check_steps(t, self.num_steps, len(x))
        # Never with t = 0: an infinite slope there would make all gradients NaN.
        steps = jnp.maximum(t, 1)
        x_t = jax.vmap(self.fn, in_axes=(0, 0 if t.ndim else None))(x, steps)
        shape = x_t.shape if hasattr(x_t, "shape") else type(x_t).__name__
        if shape != x.shape:
            raise ValueError(
                "the function must return an image of the shape it is given, "
                f"{x.shape[1:]}; for all of them it returned {shape}"
            )
        return base.keep_clean(x, x_t, t)


def from_function(
    fn: Callable[[chex.Array, chex.Array], chex.Array], num_steps: int
) -> FunctionDegradation:
    """Makes a degradation of any function of one image and a step.

        D(x, t)_b = fn(x_b, t_b) for t > 0,    D(x, 0) = x

    Args:
        fn: maps an image [H, W, C] and a scalar int32 t in 1..T to an image of the same
            shape; any traceable code will do. Each new function compiles anew. Arrays
            it needs are best bound with `jax.tree_util.Partial(fn, array)`, which keeps
            them out of the compiled program; it is then called as fn(array, x, t).
        num_steps: T.

    Returns:
        A deterministic degradation. For one with random draws write a class with
        `num_steps`, `bind` and `__call__`, as `mask.RandomMask` does.

    Raises:
        ValueError: num_steps is not a positive integer.

    Example:
        >>> darken = from_function(lambda x, t: (x + 1) * 0.9**t - 1, num_steps=10)
        >>> darken(jnp.zeros((2, 4, 4, 3)), t=jnp.array([0, 10])).shape
        (2, 4, 4, 3)

    Reference:
        Bansal et al. (2022), section 3: D may be any degradation with D(x, 0) = x.
    """
    check_num_steps(num_steps)
    if not isinstance(fn, jax.tree_util.Partial):  # Wrapping twice would hide arrays.
        fn = jax.tree_util.Partial(fn)
    return FunctionDegradation(fn=fn, num_steps=num_steps)
