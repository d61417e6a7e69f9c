"""Reprs of one line for objects that hold arrays."""

import dataclasses
import functools
import reprlib
from typing import Any

import jax
import numpy as np


class _Short(reprlib.Repr):
    """Shows arrays by dtype and shape, and only the beginning of what is long."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother, self.maxstring = 2, 90, 60

    def repr1(self, x: Any, level: int) -> str:
        is_array = hasattr(x, "shape") and hasattr(x, "dtype")
        if is_array and not isinstance(x, np.generic):
            return f"{x.dtype}[{', '.join(map(str, x.shape))}]"
        if isinstance(x, functools.partial):
            return self._partial(x, level)
        return super().repr1(x, level)

    def _partial(self, x: functools.partial[Any], level: int) -> str:
        """Shows the function's name and what is bound, where `repr` prints arrays."""
        name = getattr(x.func, "__name__", type(x.func).__name__)
        if hasattr(x.func, "__self__"):  # A method, such as that of a network.
            name = f"{type(x.func.__self__).__name__}.{name}"
        parts = [name, *(self.repr1(value, level - 1) for value in x.args)]
        for keyword, value in x.keywords.items():
            parts.append(f"{keyword}={self.repr1(value, level - 1)}")
        return f"Partial({', '.join(parts)})"


@jax.tree_util.register_pytree_node_class
class ShortPartial(jax.tree_util.Partial):
    """A `jax.tree_util.Partial` that is shown in one line, without its arrays.

    Example:
        >>> ShortPartial(model.apply, {"params": params})
        Partial(...apply, {'params': {...}})
    """

    def __repr__(self) -> str:
        # The reprs of other libraries may have several lines.
        return " ".join(_Short().repr(self).split())

    def tree_flatten(self) -> tuple[Any, Any]:
        """Returns the children, which are the bound arguments, and the function."""
        return (self.args, self.keywords), self.func

    @classmethod
    def tree_unflatten(cls, func: Any, children: Any) -> "ShortPartial":
        """Returns the function with other arguments."""
        args, keywords = children
        return cls(func, *args, **keywords)


def short_repr(value: Any) -> str:
    """Returns one line for a dataclass or a named tuple, with arrays by their shapes.

    The `__repr__` of such classes returns it.

    Args:
        value: the object.

    Example:
        >>> short_repr(SampleResult(jnp.zeros((4, 8, 8, 3)), jnp.zeros((4, 8, 8, 3))))
        'SampleResult(x_0=float32[4, 8, 8, 3], direct=float32[4, 8, 8, 3], ...'
    """
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        names = [*value._fields]
    short = _Short()
    parts = (f"{name}={short.repr(getattr(value, name))}" for name in names)
    # The reprs of other libraries may have several lines.
    return " ".join(f"{type(value).__name__}({', '.join(parts)})".split())


def sides(shape: tuple[int, ...]) -> str:
    """Returns the sides of an image as text, such as "32 x 32"."""
    return " x ".join(map(str, shape))
