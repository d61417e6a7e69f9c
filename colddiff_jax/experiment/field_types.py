"""Conversion of the fields of a configuration to the types of arguments."""

import ast
import collections.abc
import inspect
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from colddiff_jax.checks import InputError, is_finite_number

_SWITCHES = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


def converted(field: str, value: Any, annotation: Any) -> Any:
    """Returns the value of a field as the type of the argument that it sets.

    Args:
        field: the path of the field, such as "training.num_steps", for errors.
        value: the value. A float without a fraction may set an integer, and an integer
            a float; lists become tuples.
        annotation: the type hint of the argument. Only None, bool, int, float, str,
            literals, sequences and unions of these are checked.

    Raises:
        InputError: a value of another type, or a number that is not finite.

    Example:
        >>> converted("training.num_steps", 1e4, int)
        10000
        >>> converted("model.remat", "false", bool)
        Traceback (most recent call last):
            ...
        colddiff_jax.checks.InputError: `model.remat` must be True or False, got 'false'
    """
    try:
        return _convert(value, annotation)
    except _MismatchError:
        raise InputError(
            f"`{field}` must be {_phrase(annotation)}, got {value!r}"
        ) from None


def parsed(field: str, text: str, annotation: Any) -> Any:
    """Returns the value that a text, from a command line, gives a field.

    Args:
        field: the path of the field, for errors.
        text: a Python literal, "yes" or "no" for a switch, or any text for a string;
            commas separate the items of a sequence.
        annotation: the type hint of the argument.

    Raises:
        InputError: a text that is not a value of this type.

    Example:
        >>> parsed("degradation.stds", "1,2,3", collections.abc.Sequence[float])
        (1.0, 2.0, 3.0)
    """
    for candidate in _candidates(text, annotation):
        try:
            return _convert(candidate, annotation)
        except _MismatchError:
            continue
    raise InputError(f"`{field}` must be {_phrase(annotation)}, got {text!r}")


def type_if_given(annotation: Any) -> type:
    """Returns the type of a value other than None for an optional argument."""
    (given,) = (o for o in options_of(annotation) if o is not types.NoneType)
    return str if typing.get_origin(given) is Literal else given


def is_sequence(annotation: Any) -> bool:
    """Whether an argument may be a sequence, which a schedule can provide."""
    sequences = (tuple, collections.abc.Sequence)
    return any(typing.get_origin(o) in sequences for o in options_of(annotation))


class _MismatchError(Exception):
    """A value does not have the type of an annotation."""


def _candidates(text: str, annotation: Any) -> list[Any]:
    """Returns the values that a text may stand for, the most specific first."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        literal = []
    else:
        literal = [value, (value,)]  # A single item is a sequence too.
    switch = _SWITCHES.get(text.strip().lower())
    candidates = [*([] if switch is None else [switch]), *literal]
    if text.strip().lower() == "none":
        candidates.insert(0, None)
    options = options_of(annotation)
    if bool not in options:  # Otherwise 1 would become True.
        candidates = [c for c in candidates if not isinstance(c, bool)]
    if str in options:  # A name such as "1" or "true" remains a text.
        candidates = [c for c in candidates if c is None]
    return [*candidates, text]


def _convert(value: Any, annotation: Any) -> Any:
    for option in options_of(annotation):
        try:
            return _convert_to(value, option)
        except _MismatchError:
            continue
    raise _MismatchError


def _convert_to(value: Any, option: Any) -> Any:
    origin = typing.get_origin(option)
    if option in _SCALARS:
        return _SCALARS[option][1](value)
    if origin is Literal:
        for choice in typing.get_args(option):
            if type(value) is type(choice) and value == choice:
                return choice
        raise _MismatchError
    if origin in (tuple, collections.abc.Sequence):
        return _to_tuple(value, option)
    if option is np.ndarray and not isinstance(value, np.ndarray):
        raise _MismatchError  # The other options of the union describe its items.
    return value  # Functions, dtypes and arrays: their receivers check them.


def _to_tuple(value: Any, option: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _MismatchError
    items = typing.get_args(option)
    if typing.get_origin(option) is tuple and items[-1] is not Ellipsis:
        if len(value) != len(items):
            raise _MismatchError
        return tuple(map(_convert, value, items))
    return tuple(_convert(item, items[0]) for item in value)


def _to_none(value: Any) -> None:
    if value is not None:
        raise _MismatchError


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise _MismatchError
    return bool(value)


def _to_float(value: Any) -> float:
    if not is_finite_number(value):
        raise _MismatchError
    return float(value)


def _to_int(value: Any) -> int:
    if isinstance(value, bool):
        raise _MismatchError
    if isinstance(value, numbers.Integral):
        return int(value)
    if not _to_float(value).is_integer():
        raise _MismatchError
    return int(value)


def _to_str(value: Any) -> str:
    if not isinstance(value, str):
        raise _MismatchError
    return value


_SCALARS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    types.NoneType: ("None", _to_none),
    bool: ("True or False", _to_bool),
    int: ("an integer", _to_int),
    float: ("a finite number", _to_float),
    str: ("a text", _to_str),
}


def options_of(annotation: Any) -> tuple[Any, ...]:
    """Returns the members of a union, or the annotation alone."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return typing.get_args(annotation)
    return (Any if annotation is inspect.Parameter.empty else annotation,)


def _phrase(annotation: Any) -> str:
    """Describes the values of a type: "an integer or None"."""
    phrases = [_phrase_of(option) for option in options_of(annotation)]
    return " or ".join(phrase for phrase in phrases if phrase)


def _phrase_of(option: Any) -> str:
    origin = typing.get_origin(option)
    if option in _SCALARS:
        return _SCALARS[option][0]
    if origin is Literal:
        return f"one of {list(typing.get_args(option))}"
    if origin in (tuple, collections.abc.Sequence):
        items = typing.get_args(option)
        fixed = origin is tuple and items[-1] is not Ellipsis
        count = f"{len(items)} " if fixed else "a list of "
        return count + _plural(items[0])
    return ""


def _plural(annotation: Any) -> str:
    plurals = {int: "integers", float: "finite numbers"}
    return plurals.get(annotation, "lists of integers")
