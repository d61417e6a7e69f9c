"""Sections of a configuration: each holds the arguments of a function by name.

The signature of the function is the only list of the fields and their defaults.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.experiment.field_types import converted


def parameters_of(function: Callable) -> dict[str, inspect.Parameter]:
    """Returns the parameters of a function or class, except those that Flax adds."""
    parameters = dict(inspect.signature(function).parameters)
    if isinstance(function, type) and issubclass(function, nn.Module):
        for added in ("parent", "name"):
            del parameters[added]
    return parameters


def defaults_of(function: Callable) -> dict[str, Any]:
    """Returns the defaults of a function; strings without a default become "".

    Args:
        function: a function with type hints.

    Returns:
        Default by name, in the order of the signature. Other parameters without a
        default are left out: a configuration must set them.

    Example:
        >>> defaults_of(schedules.cosine)
        {'offset': 0.008}
    """
    defaults = {}
    for name, parameter in parameters_of(function).items():
        if parameter.default is not inspect.Parameter.empty:
            defaults[name] = parameter.default
        elif parameter.annotation is str:
            defaults[name] = ""
    return defaults


def call_named(
    section: str,
    choices: Mapping[str, Callable],
    fields: Mapping[str, Any],
    **known: Any,
) -> Any:
    """Calls the function that `fields["name"]` chooses with the other fields.

    Args:
        section: the name of the section, for errors.
        choices: the functions by name.
        fields: the fields of the section.
        **known: arguments that follow from other sections and therefore cannot be
            fields; passed to functions with such parameters.

    Raises:
        InputError: an unknown name or field, a missing one, or a value that the
            function does not accept.
    """
    function = chosen(section, choices, fields)
    for name in known:
        if name in fields:
            raise InputError(
                f"{_where(section)} must not have a field {name!r}: it follows from "
                "the other sections"
            )
    rest = {name: value for name, value in fields.items() if name != "name"}
    return call(section, function, only(known, parameters_of(function)) | rest)


def chosen(section: str, choices: Mapping[str, Callable], fields: Any) -> Callable:
    """Returns the function that `fields["name"]` chooses."""
    _check_mapping(section, fields)
    return choose(f"{section}.name", choices, fields.get("name"))


def choose(field: str, choices: Mapping[str, Any], name: Any) -> Any:
    """Returns choices[name], or raises an InputError that lists the names."""
    if name not in list(choices):  # In a list, as name may be unhashable.
        raise InputError(f"`{field}` must be one of {sorted(choices)}, got {name!r}")
    return choices[name]


def call(section: str, function: Callable, fields: Mapping[str, Any]) -> Any:
    """Calls a function with the fields of a section, converted to its types.

    Raises:
        InputError: an unknown field, a missing one, or a value that the function does
            not accept.
    """
    parameters = parameters_of(function)
    required = [
        n for n, p in parameters.items() if p.default is inspect.Parameter.empty
    ]
    check_fields(section, fields, list(parameters), required)
    arguments = {
        name: converted(f"{section}.{name}", value, parameters[name].annotation)
        for name, value in fields.items()
    }
    try:
        return function(**arguments)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(in_section(section, str(error), parameters)) from error


def check_fields(
    section: str, fields: Any, known: list[str], required: list[str]
) -> None:
    """Raises an InputError if a section has unknown fields or lacks required ones."""
    _check_mapping(section, fields)
    for name in fields:
        if name not in known:
            raise InputError(
                f"{_where(section)} has an unknown field {name!r}; known: "
                f"{sorted(known)}"
            )
    missing = [name for name in required if name not in fields]
    if missing:
        noun = "field" if len(missing) == 1 else "fields"
        names = ", ".join(map(repr, missing))
        # As in Python and, after two hyphens, on the command line.
        prefix = f"config.{section}." if section else "config."
        raise InputError(
            f"{_where(section)} lacks the {noun} {names}; set "
            f"{' and '.join(prefix + name for name in missing)}"
        )


def only(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Returns the fields with these names."""
    return {name: value for name, value in fields.items() if name in names}


def in_section(section: str, message: str, parameters: Iterable[str]) -> str:
    """Prefixes a message with its section, in backquotes if it begins with a field."""
    first, space, rest = message.partition(" ")
    if first in parameters:
        return f"`{section}.{first}`{space}{rest}"
    return f"{section}: {message}"


def plain(value: Any) -> Any:
    """Returns nested dicts, tuples and Python numbers, which can be hashed and stored.

    Args:
        value: of a configuration: a `ConfigDict`, dicts, lists, NumPy or JAX arrays.
    """
    if hasattr(value, "items"):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.generic | np.ndarray | jax.Array):
        value = np.asarray(value).tolist()  # What JSON can store.
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def _check_mapping(section: str, fields: Any) -> None:
    if not isinstance(fields, Mapping):
        raise InputError(f"{_where(section)} must hold named fields, got {fields!r}")


def _where(section: str) -> str:
    return (
        f"section {section!r} of the configuration" if section else "the configuration"
    )
