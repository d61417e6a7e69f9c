"""Reprs of one line for objects that hold arrays."""

import dataclasses
import reprlib
from typing import Any

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
        return super().repr1(x, level)


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
