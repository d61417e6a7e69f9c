"""Runs a program: parses its flags, and prints errors in one line."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import ml_collections
from absl import app, flags, logging

from colddiff_jax.checks import InputError


def run(
    main: Callable[..., object],
    *,
    required: Sequence[str] = (),
    num_arguments: int | None = 0,
) -> NoReturn:
    """Parses the flags and runs `main`; bad input ends in one line and status 1.

    Args:
        main: the program; called with the arguments that are not flags.
        required: names of flags that must be given.
        num_arguments: the number of arguments besides flags; None for any number.
    """

    def checked_main(argv: list[str]) -> None:
        try:
            arguments = argv[1:]
            expected = len(arguments) if num_arguments is None else num_arguments
            if len(arguments) > expected:
                raise InputError(
                    f"unexpected argument {arguments[expected]!r}; flags begin with --"
                )
            if len(arguments) < expected:
                raise InputError("an argument is missing; --help shows the usage")
            for name in required:
                if not flags.FLAGS[name].value:
                    raise InputError(f"--{name} is missing; --help explains it")
            main(*arguments)
        except InputError as error:
            _fail(_with_flags(str(error)))

    app.run(checked_main, flags_parser=_parse_flags)
    raise SystemExit(0)  # For type checkers: app.run does not return.


def integers(flag: str, texts: Sequence[str]) -> list[int]:
    """Parses the distinct non-negative integers of a list flag."""
    for text in texts:
        if not text.isdecimal():
            raise InputError(f"--{flag} must be non-negative integers, got {text!r}")
    return list(dict.fromkeys(int(text) for text in texts))


def _with_flags(message: str) -> str:
    """Replaces argument names in backquotes with the flags that set them."""

    def flag(match: re.Match) -> str:
        name = match[1]
        if name in flags.FLAGS:
            return f"--{name}"
        return f"--config.{name}" if _is_field(name) else name

    return re.sub(r"`([\w.]+)`", flag, message)


def _is_field(name: str) -> bool:
    """Whether the configuration of a program has this field, such as data.path."""
    value = flags.FLAGS["config"].value if "config" in flags.FLAGS else None
    for part in name.split("."):
        if not isinstance(value, ml_collections.ConfigDict) or part not in value:
            return False
        value = value[part]
    return not isinstance(value, ml_collections.ConfigDict)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except AttributeError as error:  # config_flags reports unknown fields this way.
        field = re.findall(r"\w+", str(error))[0]
        given = [a for a in argv if a.partition("=")[0].endswith(f".{field}")]
        similar = re.search(r'Did you mean "(\w+)"', str(error))
        advice = f"did you mean {similar[1]!r}?" if similar else "see the config file"
        _fail(f"the configuration has no field {field!r} ({' '.join(given)}); {advice}")
    except (flags.Error, InputError) as error:
        # An error inside a config file comes with its traceback; keep the last line.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = lines[-1].removeprefix(f"{InputError.__module__}.InputError: ")
        _fail(_with_flags(message))
    if flags.FLAGS["verbosity"].using_default_value:
        # Orbax, Grain and TFDS log every detail, which --verbosity=0 shows.
        flags.FLAGS["verbosity"].value = logging.ERROR
        flags.FLAGS["verbosity"].using_default_value = False
    return rest


def _fail(message: str) -> NoReturn:
    program = os.path.basename(sys.argv[0])
    print(f"{program}: error: {message}", file=sys.stderr)
    raise SystemExit(1)
