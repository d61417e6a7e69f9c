"""The error for bad input, and the validators shared by the whole package.

A validator returns the value in canonical form, or raises a one-line `ValueError`
(`TypeError` for a wrong type) that names the value and what was expected.
"""

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

MAX_STEPS = 100_000
"""The largest T, far above any in use: it catches slips before memory runs out."""
MAX_SIDE = 65_536
"""The largest side of an image in pixels, for the same reason."""

_LISTED = 6  # How many names an error lists.
_MAX_INTEGER = 2**31 - 1  # Integers are int32 on devices.
_MOST_CHANNELS = 4  # A last axis that is longer may be the width of an image.


class InputError(ValueError):
    """Bad input: one line that names the value, what was expected and the fix.

    The programs print the line and exit with status 1; any other exception is a bug in
    this library and keeps its traceback. Argument names are in backquotes, which the
    programs replace by the corresponding command-line flags.

    Example:
        >>> get_config("mnist")
        Traceback (most recent call last):
            ...
        colddiff_jax.checks.InputError: no configuration 'mnist'; this library has ...
    """


def listed(names: Sequence[str]) -> str:
    """Joins the first names and counts the rest: "a, b, c, d, e, f and 3 more"."""
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "nothing") + rest


def listed_by_kind(problems: Mapping[str, Sequence[str]]) -> str:
    """Lists names grouped by problem: "2 missing (a, b); 1 left over (c)"."""
    return "; ".join(
        f"{len(names)} {kind} ({listed(names)})"
        for kind, names in problems.items()
        if names
    )


def check_images(x: chex.Array) -> chex.Array:
    """Returns x as an array; raises unless it is a non-empty float batch [B, H, W, C].

    A batch that looks like [B, C, H, W], with 1 or 3 channels, raises as well.

    Only the dtype and the shape are checked, so that x may be traced.
    """
    check_float(x)
    x = jnp.asarray(x)
    if x.ndim != 4:
        raise ValueError(
            f"images must have shape [B, H, W, C], got {x.shape}; add a batch "
            "axis to a single image with x[None]"
        )
    if not x.size:
        raise ValueError(f"images must not be empty, got shape {x.shape}")
    if x.shape[1] in (1, 3) and min(x.shape[2:]) > _MOST_CHANNELS:
        raise ValueError(
            f"images are channels last, [B, H, W, C], got shape {x.shape}; move them "
            "with numpy.moveaxis(x, 1, -1)"
        )
    return x


def check_float(images: chex.Array) -> None:
    """Raises a TypeError unless images, of any shape, are floating point."""
    dtype = _dtype(images)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"images must be floating point in [-1, 1], got dtype {dtype}; convert "
            "uint8 images with colddiff_jax.to_float"
        )


def check_uint8(images: chex.Array) -> None:
    """Raises a TypeError unless images, of any shape, are uint8."""
    dtype = _dtype(images)
    if dtype != np.uint8:
        raise TypeError(
            f"images must be uint8, got dtype {dtype}; convert floats in [-1, 1] with "
            "colddiff_jax.to_uint8"
        )


def _dtype(x: chex.Array) -> np.dtype:
    """Returns the dtype of an array, which may be traced, or of nested lists."""
    if isinstance(x, jax.Array):
        return x.dtype
    try:
        return np.asarray(x).dtype
    except ValueError as error:  # NumPy speaks of an "inhomogeneous shape".
        raise ValueError(
            "images must form one array, [B, H, W, C], got lists of different lengths; "
            "crop or resize all images to the same size"
        ) from error


def check_steps(t: chex.Numeric, num_steps: int, batch_size: int) -> chex.Array:
    """Returns t as int32; raises unless it is an integer [] or [B] in 0..num_steps."""
    if not isinstance(t, jax.core.Tracer):
        concrete = np.asarray(t)
        if not np.issubdtype(concrete.dtype, np.integer):
            raise TypeError(f"t must be an integer, got {t!r} ({concrete.dtype})")
        if concrete.size and not (0 <= concrete.min() <= concrete.max() <= num_steps):
            raise ValueError(f"t must lie in 0..{num_steps}, got {concrete}")
    t = jnp.asarray(t)
    if not jnp.issubdtype(t.dtype, jnp.integer):
        raise TypeError(f"t must be an integer, got dtype {t.dtype}")
    t = t.astype(jnp.int32)
    if t.shape not in ((), (batch_size,)):
        raise ValueError(
            f"t must be a scalar or have one value per example, shape ({batch_size},); "
            f"got shape {t.shape}"
        )
    return t


def check_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Returns (height, width), given both or the side of a square image."""
    sides = np.asarray(image_size)
    if sides.ndim == 0:
        sides = np.stack([sides, sides])
    if (
        sides.shape != (2,)
        or not np.issubdtype(sides.dtype, np.integer)
        or not ((sides > 0) & (sides <= MAX_SIDE)).all()
    ):
        raise ValueError(
            "image_size must be a positive integer or (height, width), each at most "
            f"{MAX_SIDE}, got {image_size!r}"
        )
    return int(sides[0]), int(sides[1])


def check_integer(
    name: str,
    value: Any,
    *,
    least: int = 1,
    largest: int | None = None,
    cap: int = _MAX_INTEGER,
) -> int:
    """Returns a Python or NumPy integer as an int; raises outside least..largest.

    Args:
        name: the name of the integer in error messages.
        value: the integer.
        least: the smallest valid value.
        largest: the largest valid value, if one follows from the meaning of the value.
        cap: the largest valid value otherwise, which only a slip exceeds.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    upper = cap if largest is None else largest
    if number is not None and least <= number <= upper:
        return number
    expected = (
        f"an integer in {least}..{upper}"
        if largest is not None or (number is not None and number > upper)
        else "a positive integer"
        if least == 1
        else f"an integer of at least {least}"
    )
    raise ValueError(f"{name} must be {expected}, got {value!r}")


def check_num_steps(num_steps: Any) -> int:
    """Returns T as an int; raises unless it is an integer in 1..MAX_STEPS."""
    return check_integer("num_steps", num_steps, cap=MAX_STEPS)


def is_finite_number(value: Any) -> bool:
    """Whether a value is a finite Python or NumPy number, and not a bool."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # An integer beyond the largest float.
        return False


def check_number(
    name: str, value: Any, expected: str, valid: Callable[[float], bool]
) -> float:
    """Returns a real number as a float if it is finite and valid.

    Args:
        name: the name of the number in error messages.
        value: the number.
        expected: completes "must" in error messages, such as "not be negative".
        valid: whether a finite number is valid.

    Raises:
        ValueError: another value.
    """
    if not is_finite_number(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    if not valid(float(value)):
        raise ValueError(f"{name} must {expected}, got {value!r}")
    return float(value)


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises a ValueError that lists the choices if value is not one of them."""
    choices = list(choices)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def check_schedule(
    name: str,
    values: Sequence[float] | np.ndarray,
    expected: str,
    valid: Callable[[np.ndarray], np.ndarray],
    *,
    order: Literal["rising", "falling", "any"] = "any",
) -> np.ndarray:
    """Returns a schedule, one number per step, as float64 [T] if it is valid.

    Args:
        name: the name of the schedule in error messages.
        values: the schedule.
        expected: describes a valid value in error messages, such as "positive".
        valid: maps the values to booleans, True where a value is valid.
        order: "rising" if the values must not decrease, "falling" if they must not
            increase.

    Raises:
        ValueError: a value is not finite, not valid or out of order.
    """
    try:
        schedule = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        schedule = np.empty(())
    if schedule.ndim != 1 or not schedule.size:
        raise ValueError(
            f"{name} must list one number per step, got {values!r}; "
            "colddiff_jax.schedules provides the usual ones"
        )
    wrong = ~(np.isfinite(schedule) & valid(schedule))
    if wrong.any():
        step = int(np.argmax(wrong))
        raise ValueError(
            f"{name} must be {expected} and finite, got {name}[{step}] = "
            f"{schedule[step]}"
        )
    check_order(name, schedule, order)
    return schedule


def check_order(
    name: str, values: np.ndarray, order: Literal["rising", "falling", "any"]
) -> None:
    """Raises a ValueError if values [T, ...] are out of order at any step."""
    changes = np.diff(values, axis=0) * {"rising": 1, "falling": -1, "any": 0}[order]
    wrong = (changes < 0).any(axis=tuple(range(1, changes.ndim)))
    if wrong.any():
        step = int(np.argmax(wrong)) + 1
        change = {"rising": "decrease", "falling": "increase"}[order]
        raise ValueError(
            f"{name} must not {change} from one step to the next, got {name}[{step}] "
            f"= {values[step]} after {values[step - 1]}"
        )


def check_stds(stds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns a schedule of standard deviations as float64 [T] if all are positive."""
    return check_schedule("stds", stds, "positive", lambda values: values > 0)
