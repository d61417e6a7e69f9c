"""Custom degradations from plain functions."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp

from colddiff_jax import checks
from colddiff_jax.checks import InputError
from colddiff_jax.degradations import base


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class FunctionDegradation:
    """A degradation given by a function of one image. Made by `from_function`.

    Attributes:
        fn: the function as a pytree, so that arrays bound to it are traced rather than
            compiled in as constants.
        num_steps: T.

    Example:
        >>> degrade = from_function(lambda x, t: x / t, num_steps=4)
        >>> degrade(jnp.ones((1, 1, 1, 1)), t=4).item()
        0.25
    """

    fn: jax.tree_util.Partial
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        name = getattr(self.fn.func, "__name__", type(self.fn.func).__name__)
        return f"from_function({name}, T={self.num_steps})"

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: the function has nothing to draw."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        x = checks.check_images(x)
        t = checks.check_steps(t, self.num_steps, x.shape[0])
        # Avoid t = 0: an infinite slope there would make all gradients NaN.
        steps = jnp.maximum(t, 1)
        try:
            x_t = jax.vmap(self.fn, in_axes=(0, 0 if t.ndim else None))(x, steps)
        except (TypeError, AttributeError) as error:
            if not _needs_numbers(error):
                raise
            raise InputError(
                "the function of `from_function` must be written in jax.numpy; call "
                "one of NumPy, SciPy or PIL by jax.pure_callback(fn, "
                'jax.ShapeDtypeStruct(x.shape, x.dtype), x, t, vmap_method="sequential"'
                ") (docs/extending.md)"
            ) from error
        shape = x_t.shape if hasattr(x_t, "shape") else type(x_t).__name__
        if shape != x.shape:
            raise ValueError(
                "the function must return an image of the same shape as its input, "
                f"{x.shape[1:]}; for the batch {x.shape} it returned {shape}"
            )
        return base.keep_clean(x, x_t, t)


def _needs_numbers(error: Exception) -> bool:
    """Whether a function failed since it asked a traced array for its numbers."""
    asked = (
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
        jax.errors.ConcretizationTypeError,
    )
    # PIL looks for the buffer of an array, which traced arrays do not have.
    return isinstance(error, asked) or "__array_interface__" in str(error)


def from_function(
    fn: Callable[[chex.Array, chex.Array], chex.Array], num_steps: int
) -> FunctionDegradation:
    """Makes a degradation from a function of one image and a step.

        D(x, t)_b = fn(x_b, t_b) for t > 0,    D(x, 0) = x

    Args:
        fn: maps an image [H, W, C] and a scalar int32 t in 1..T to an image of the same
            shape; it must be traceable, and calls NumPy, SciPy or PIL by
            `jax.pure_callback`. Every new function is compiled anew. Bind arrays with
            `jax.tree_util.Partial(fn, array)` to keep them out of the compiled program;
            fn is then called as fn(array, x, t).
        num_steps: T.

    Returns:
        A deterministic degradation. A random one needs a class with `num_steps`, `bind`
        and `__call__`, such as `mask.RandomMask`.

    Raises:
        ValueError: num_steps is not a positive integer.

    Example:
        >>> darken = from_function(lambda x, t: (x + 1) * 0.9**t - 1, num_steps=10)
        >>> darken(jnp.zeros((2, 4, 4, 3)), t=jnp.array([0, 10])).shape
        (2, 4, 4, 3)

    Reference:
        Bansal et al. (2022), section 3: D may be any degradation with D(x, 0) = x.
    """
    checks.check_num_steps(num_steps)
    if not isinstance(fn, jax.tree_util.Partial):  # Nesting would hide its arrays.
        fn = jax.tree_util.Partial(fn)
    return FunctionDegradation(fn=fn, num_steps=num_steps)
