"""Lists the configurations of this library, and explains one with all its fields."""

import shlex
import textwrap
from collections.abc import Mapping
from typing import Any

from colddiff_jax.training.config_files import find_config, read_config, shipped_configs
from colddiff_jax.training.field_docs import REQUIRED, Field, describe

_WIDTH = 80


def list_configs() -> str:
    """Returns the name, the variants and the purpose of every configuration."""
    lines = [
        "--config=NAME or --config=NAME:VARIANT trains one of these; with --help as "
        "well, it explains the fields.",
        "",
    ]
    for name, path in shipped_configs().items():
        found = read_config(path)
        lines.append(" ".join([name, *(f":{variant}" for variant in found.variants)]))
        lines.append(f"    {found.purpose}")
    return _wrapped(lines)


def explain_config(name: str, config: Mapping[str, Any]) -> str:
    """Returns the description of a configuration, and each field with its value.

    Args:
        name: the name or path of the configuration, with its variant.
        config: all its fields, changed as on the command line.
    """
    path, _ = find_config(name)
    found = read_config(path)
    lines = [f"{name}: {found.purpose}", ""]
    if found.variants:
        variants = " ".join(f":{variant}" for variant in found.variants)
        lines += [f"Variants: {variants}, which {path} describes.", ""]
    lines += ["Each of the following flags changes a field, whose value it shows."]
    for section in describe(config):
        lines += ["", f"{section.name}: {section.summary}".removesuffix(": ")]
        for field in section.fields:
            lines += [f"  {_flag(field)}", f"      {field.meaning}"]
    return _wrapped(lines)


def _flag(field: Field) -> str:
    """Returns the flag that sets a field to its value."""
    if field.value is REQUIRED:
        return f"--config.{field.path}=... (must be given)"
    flag = f"--config.{field.path}={_text(field.value)}"
    if isinstance(field.value, tuple) and len(flag) > _WIDTH - 2:
        first = ",".join(map(str, field.value[:3]))
        return f"--config.{field.path}={first},... ({len(field.value)} values)"
    return flag


def _text(value: Any) -> str:
    """Returns a value as it is typed on a command line."""
    if isinstance(value, tuple) and value and not isinstance(value[0], tuple):
        return ",".join(map(str, value))
    return shlex.quote(str(value))


def _wrapped(lines: list[str]) -> str:
    """Returns lines, those that are too long in several with the same indentation."""
    result = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        result += textwrap.wrap(
            line,
            _WIDTH,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(result)
