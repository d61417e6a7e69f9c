"""Changes to the fields of a configuration, given as text on a command line."""

import ast
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from colddiff_jax.checks import InputError, listed
from colddiff_jax.experiment.field_types import parsed
from colddiff_jax.experiment.sections import plain
from colddiff_jax.training.config import (
    NAMED_SECTIONS,
    SECTIONS,
    complete_config,
    default_fields,
    section,
    types_of_fields,
)
from colddiff_jax.training.extra_fields import EXTRA_FIELDS

_UNSET = object()


def override(
    config: Mapping[str, Any], changes: Iterable[tuple[str, str]]
) -> tuple[dict[str, Any], list[str]]:
    """Returns a configuration with some fields changed.

    Args:
        config: nested fields as in `configs/`.
        changes: pairs of the path of a field, such as "training.num_steps", and a text:
            a Python literal, items separated by commas for a list, or a string without
            quotes. A new name of a section, "snow" for "degradation.name" or for
            "degradation", sets the arguments to the defaults of that function.

    Returns:
        The changed configuration, and a line for each section that lost settings to a
        new name.

    Raises:
        InputError: an unknown field, or a text that is not a value of its type.

    Example:
        >>> changes = [("degradation.stds", "1,2,3"), ("training.num_steps", "1e4")]
        >>> changed, _ = override(get_config("cifar_blur"), changes)
        >>> changed["degradation"]["stds"], changed["training"]["num_steps"]
        ((1.0, 2.0, 3.0), 10000)
    """
    changed = complete_config(config)
    notices = []
    # Names come first, since they determine which other fields exist.
    named = [(_path_of_name(path, text), text) for path, text in changes]
    for path, text in sorted(named, key=lambda change: not _is_name(change[0])):
        if _is_name(path):
            notices += _rename(changed, path.removesuffix(".name"), text)
        else:
            _set(changed, path, text)
    return complete_config(changed), notices


def _path_of_name(path: str, text: str) -> str:
    """Returns loss.name for the change loss=l2, and the path of any other change."""
    return f"{path}.name" if path in NAMED_SECTIONS and text.isidentifier() else path


def _is_name(path: str) -> bool:
    """Whether a field selects the function that its section holds the arguments of."""
    section_name, _, field = path.rpartition(".")
    return field == "name" and (section_name in NAMED_SECTIONS or "." in section_name)


def _rename(config: dict[str, Any], path: str, name: str) -> list[str]:
    """Gives a section, or the schedule at a path, another name; returns notices."""
    *parents, last = path.split(".")
    holder = _fields_at(config, parents) if parents else config
    before = holder.get(last)
    if parents:  # A schedule, or numbers that a schedule replaces.
        if not isinstance(before, dict) or before.get("name") != name:
            holder[last] = {"name": name}
        return []
    assert before is not None  # All sections exist.
    if before["name"] == name:
        return []
    extra = {n: before[n] for n in EXTRA_FIELDS.get(path, {})}
    defaults = default_fields(path, before)
    lost = [
        field
        for field, value in before.items()
        if field not in {"name", *extra} and value != defaults.get(field, _UNSET)
    ]
    holder[last] = plain(section(path, name=name, **extra))
    if not lost:
        return []
    return [f"{path}.name={name} drops {listed(lost)} of {before['name']}"]


def _set(config: dict[str, Any], path: str, text: str) -> None:
    """Sets a field, or all fields of a section, to the value that a text describes."""
    *parents, name = path.split(".")
    if path == "seed":
        config["seed"] = parsed("seed", text, int)
        return
    described = _as_mapping(text)
    if parents:
        fields = _fields_at(config, parents)
        hints = types_of_fields(".".join(parents), fields)
        _check_known(path, name, hints)
        fields[name] = described or parsed(path, text, hints[name])
        return
    _check_known(path, name, SECTIONS)
    if described is None:
        raise InputError(
            f"`{path}` must be all fields of the section, such as {{'name': 'l1'}}, or "
            f"be changed field by field; got {text!r}"
        )
    config[name] = described


def _fields_at(config: dict[str, Any], parents: list[str]) -> dict[str, Any]:
    """Returns the fields of a section, or of the schedule in one of its fields."""
    fields: Any = config
    for depth, name in enumerate(parents):
        path = ".".join(parents[: depth + 1])
        _check_known(path, name, fields)
        fields = fields[name]
        if not isinstance(fields, dict):
            raise InputError(f"`{path}` has no fields, since it is {fields!r}")
    return fields


def _check_known(path: str, name: str, known: Iterable[str]) -> None:
    known = list(known)
    if name not in known:
        similar = difflib.get_close_matches(name, known, n=1)
        advice = (
            f"did you mean {similar[0]!r}?" if similar else f"known: {', '.join(known)}"
        )
        raise InputError(f"the configuration has no field {path!r}; {advice}")


def _as_mapping(text: str) -> dict[str, Any] | None:
    """Returns the fields that a text such as "{'name': 'l1'}" describes, or None."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return plain(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError):
        return None
