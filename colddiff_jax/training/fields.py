"""Calls functions with the fields of a configuration, and names what does not fit."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.linen as nn

from colddiff_jax.errors import InputError


def call_named(
    section: str,
    choices: Mapping[str, Callable],
    fields: Mapping[str, Any],
    **known: Any,
) -> Any:
    """Calls the function that `fields["name"]` chooses with the other fields.

    What is `known` goes to functions that have such a parameter, and is no field.
    """
    _check_mapping(section, fields)
    for name in known:
        if name in fields:
            raise InputError(
                f"{_where(section)} must not have a field {name!r}: it follows from "
                "the other sections"
            )
    fields = dict(fields)
    function = choose(f"{section}.name", choices, fields.pop("name", None))
    parameters = inspect.signature(function).parameters
    return call(section, function, only(known, parameters) | fields)


def choose(field: str, choices: Mapping[str, Any], name: Any) -> Any:
    """Returns choices[name], or says which names there are."""
    if name not in list(choices):  # A list compares what cannot be hashed, too.
        raise InputError(f"{field} must be one of {sorted(choices)}, got {name!r}")
    return choices[name]


def call(section: str, function: Callable, fields: Mapping[str, Any]) -> Any:
    """Calls a function with the fields of a section; complaints become InputErrors."""
    parameters = dict(inspect.signature(function).parameters)
    if isinstance(function, type) and issubclass(function, nn.Module):
        for of_flax in ("parent", "name"):  # Flax adds these to every module.
            del parameters[of_flax]
    required = [
        n for n, p in parameters.items() if p.default is inspect.Parameter.empty
    ]
    check_fields(section, fields, list(parameters), required)
    try:
        return function(**fields)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{section}: {error}") from error


def check_fields(
    section: str, fields: Any, known: list[str], required: list[str]
) -> None:
    """Raises an InputError where a section has unknown fields or lacks some."""
    _check_mapping(section, fields)
    for name in fields:
        if name not in known:
            raise InputError(
                f"{_where(section)} has an unknown field {name!r}; known: "
                f"{sorted(known)}"
            )
    for name in required:
        if name not in fields:
            raise InputError(f"{_where(section)} lacks the field {name!r}")


def _check_mapping(section: str, fields: Any) -> None:
    if not isinstance(fields, Mapping):
        raise InputError(f"{_where(section)} must hold named fields, got {fields!r}")


def _where(section: str) -> str:
    return (
        f"section {section!r} of the configuration" if section else "the configuration"
    )


def only(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields with these names."""
    return {name: value for name, value in fields.items() if name in names}
