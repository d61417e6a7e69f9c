"""What the fields of a configuration mean, from the docstrings of their functions."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from colddiff_jax.data import SOURCES
from colddiff_jax.training.config import (
    NAMED_SECTIONS,
    SECTIONS,
    choices_of,
    default_fields,
    functions_of,
    types_of_fields,
)
from colddiff_jax.training.extra_fields import EXTRA_FIELDS

REQUIRED = object()
"""The value of a field that has no default and is not set."""
_ARGUMENTS = re.compile(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n)+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


class Field(NamedTuple):
    """A field of a configuration.

    Attributes:
        path: its path, such as "training.num_steps".
        value: its value, or `REQUIRED`.
        meaning: a sentence on it.
    """

    path: str
    value: Any
    meaning: str


class Section(NamedTuple):
    """A section of a configuration.

    Attributes:
        name: its name.
        summary: the first sentence on the function that takes its fields.
        fields: its fields, those of its schedules included.
    """

    name: str
    summary: str
    fields: list[Field]


def describe(config: Mapping[str, Any]) -> Iterator[Section]:
    """Describes the sections of a configuration, in their order.

    Args:
        config: all fields, as returned by `complete_config`.

    Example:
        >>> config = get_config("digits_blur").to_dict()
        >>> sections = {section.name: section for section in describe(config)}
        >>> sections["training"].fields[0]
        Field(path='training.batch_size', value=64, meaning='images per step, over ...')
    """
    for name in SECTIONS:
        if name == "seed":
            meaning = "the seed of every random draw"
            yield Section(name, "", [Field(name, config[name], meaning)])
            continue
        fields = config[name]
        described = list(_describe_section(name, fields))
        if name == "endpoints" and not fields["source"]:
            yield Section(name, "", described[:1])  # The others have no effect.
            continue
        function = _functions_by_use(name, fields)[0]
        yield Section(name, _first_sentence(_doc(function)), described)


def _describe_section(path: str, fields: Mapping[str, Any]) -> Iterator[Field]:
    """Describes the fields of a section, or of the schedule at a path."""
    if path in NAMED_SECTIONS:
        choices = ", ".join(sorted(choices_of(path).keys() - {"own"}))
        yield Field(f"{path}.name", fields["name"], f"one of {choices}")
    meanings = _meanings(path, fields)
    known = default_fields(path, fields) | dict(fields)
    extra = EXTRA_FIELDS.get(path, {})
    for name in dict.fromkeys([*extra, *types_of_fields(path, fields)]):
        value, where = known.get(name, REQUIRED), f"{path}.{name}"
        if not isinstance(value, Mapping):
            yield Field(where, value, meanings.get(name, ""))
            continue
        kind = _first_sentence(_doc(functions_of(where, value)[0]))
        choices = ", ".join(sorted(choices_of(where)))
        meaning = f"{meanings[name]}. {kind}; one of {choices}, or numbers"
        yield Field(f"{where}.name", value["name"], meaning)
        yield from _describe_section(where, value)


def _meanings(path: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """Returns a sentence on every field of a section that is documented."""
    meanings: dict[str, str] = {}
    unused: dict[str, list[str]] = {}
    chosen = SOURCES.get(fields.get("source", ""))
    for function in _functions_by_use(path, fields):
        is_other = chosen and function in SOURCES.values() and function != chosen
        for name, text in _argument_texts(function).items():
            sentence = _first_sentence(text)
            if is_other:
                where = f"for the source {function.__name__}: {sentence}"
                unused.setdefault(name, []).append(where)
            else:
                meanings[name] = sentence
    others = {name: "; ".join(texts) for name, texts in unused.items()}
    extra = EXTRA_FIELDS.get(path, {})
    return others | meanings | {name: field.meaning for name, field in extra.items()}


def _functions_by_use(path: str, fields: Mapping[str, Any]) -> list[Callable]:
    """Returns the functions of a section; of sources, the chosen one first."""
    functions = functions_of(path, fields)
    chosen = SOURCES.get(fields.get("source", ""))
    return sorted(functions, key=lambda function: function != chosen)


def _argument_texts(function: Callable) -> dict[str, str]:
    """Returns what a docstring in Google's style says about each argument.

    Only up to the first blank line.
    """
    block = _ARGUMENTS.search(_doc(function))
    return dict(_ARGUMENT.findall(block[1])) if block else {}


def _doc(function: Callable) -> str:
    return f"{inspect.getdoc(function) or ''}\n"


def _first_sentence(text: str) -> str:
    """Returns a sentence in one line, without its full stop."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return re.split(r"(?<=\.) ", paragraph, maxsplit=1)[0].rstrip(".,:;")
