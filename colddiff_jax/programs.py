"""What the command-line programs share: quiet logs, and errors in one line."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from colddiff_jax.errors import InputError


def run(main: Callable[[list[str]], None]) -> NoReturn:
    """Parses the flags and runs `main`; bad input ends in one line and status 1."""

    def checked_main(argv: list[str]) -> None:
        try:
            main(argv)
        except InputError as error:
            _fail(str(error))

    app.run(checked_main, flags_parser=_parse_flags)
    raise SystemExit(0)  # absl exits itself; this line tells type checkers so.


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except AttributeError as error:  # How config_flags reports an unknown field.
        field = str(error).strip("\"'")
        given = [a for a in argv if a.partition("=")[0].endswith(f".{field}")]
        _fail(
            f"the configuration has no field {field!r} ({' '.join(given)}); the config "
            "file lists those it has"
        )
    except (flags.Error, InputError) as error:
        # An error inside a config file arrives with its traceback; the end says it.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        _fail(lines[-1].removeprefix(f"{InputError.__module__}.InputError: "))
    if flags.FLAGS["verbosity"].using_default_value:
        # Orbax, Grain and TFDS tell their every move; --verbosity=0 lets them.
        flags.FLAGS["verbosity"].value = logging.ERROR
        flags.FLAGS["verbosity"].using_default_value = False
    return rest


def _fail(message: str) -> NoReturn:
    program = os.path.basename(sys.argv[0])
    print(f"{program}: error: {message}", file=sys.stderr)
    raise SystemExit(1)
