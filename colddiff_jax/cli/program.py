"""Runs a program: parses its flags, and prints errors in one line."""

import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from absl import app, flags, logging

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.cli.compilation_cache import keep_compiled_programs
from colddiff_jax.cli.endings import readable_endings
from colddiff_jax.io import disk

flags.disclaim_key_flags()  # Flags defined here are those of the program, for --help.

_HELP = {"--help", "-help"}


class GivenConfig(NamedTuple):
    """The configuration that the flags of a program describe.

    Attributes:
        name: the name or path of the configuration, with its variant.
        fields: nested fields, changed by the flags --config.FIELD=VALUE.
    """

    name: str
    fields: dict[str, Any]


def define_config() -> flags.FlagHolder:
    """Defines --config, whose value is a `GivenConfig`, and --config.FIELD=VALUE."""
    return flags.DEFINE(
        _ConfigParser(),
        "config",
        None,
        "configs/NAME.py[:VARIANT]; --config.FIELD=VALUE changes a field, and --help "
        "beside it explains all fields",
    )


def run(
    main: Callable[..., object],
    *,
    required: Sequence[str] = (),
    num_arguments: int | None = 0,
) -> NoReturn:
    """Parses the flags and runs `main`; bad input ends in one line and status 1.

    A ~ that begins the value of a flag is the user's home.

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
            keep_compiled_programs()
            main(*arguments)
        except InputError as error:
            _fail(_with_flags(str(error)))
        except OSError as error:
            if error.filename is None:  # Not a file, such as a closed pipe.
                raise
            reason, fix = disk.refusal(error) or (str(error), "")
            _fail(f"{error.filename}: {reason}; {fix}")
        except (RuntimeError, AssertionError):  # What JAX raises without its platform.
            if problem := devices.platform_problem():
                _fail(problem)
            raise

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show is no reason to stop.
            stream.reconfigure(errors="backslashreplace")
    with readable_endings():
        app.run(checked_main, flags_parser=_parse_flags)
    raise SystemExit(0)  # For type checkers: app.run does not return.


def integers(flag: str, texts: Sequence[str]) -> list[int]:
    """Parses the distinct non-negative integers of a list flag."""
    for text in texts:
        if not text.isdecimal():
            raise InputError(f"--{flag} must be non-negative integers, got {text!r}")
    return list(dict.fromkeys(int(text) for text in texts))


def refuse_others(used: Sequence[str], where: str) -> None:
    """Raises an InputError for a flag of the program that was given and is not used.

    Args:
        used: the names of flags that are used.
        where: the reason, such as "with --photo".
    """
    for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]):
        if flag.present and flag.name not in used:
            raise InputError(f"--{flag.name} has no effect {where}; leave it out")


class StepParser(flags.ArgumentParser):
    """Parses a step, or the word auto."""

    def parse(self, argument: str | int) -> int | str:
        """Returns the step, or "auto"; raises a ValueError for anything else."""
        if argument == "auto" or isinstance(argument, int):
            return argument
        if not argument.isdecimal():
            raise ValueError("it must be a step, 0 for the last one, or auto")
        return int(argument)

    def flag_type(self) -> str:
        """Returns the words for the value in the text of --help."""
        return "step or auto"


class _ConfigParser(flags.ArgumentParser):
    """Loads a configuration by its name, and changes its fields.

    Attributes:
        changes: paths of fields with their new values, from the command line.
    """

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def parse(self, argument: str) -> GivenConfig:
        """Loads the configuration; raises an InputError if that is not possible."""
        # The libraries behind configurations take seconds to import.
        from colddiff_jax.training.config import get_config
        from colddiff_jax.training.overrides import override

        fields, notices = override(get_config(argument), self.changes)
        for notice in notices:
            print(notice, flush=True)
        return GivenConfig(argument, fields)

    def flag_type(self) -> str:
        """Returns the word for the value in the text of --help."""
        return "configuration"


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
    if (parser := _config_parser()) is None:
        return False
    config = flags.FLAGS["config"].value
    if config is None:  # An error in a change ended the parsing.
        return any(f"{path}.".startswith(f"{name}.") for path, _ in parser.changes)
    value = config.fields
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return not isinstance(value, Mapping)


def _config_parser() -> _ConfigParser | None:
    """Returns the parser of --config, if the program has that flag."""
    if "config" not in flags.FLAGS:
        return None
    parser = flags.FLAGS["config"].parser
    assert isinstance(parser, _ConfigParser)
    return parser


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        argv = [_with_home(argument) for argument in argv]
        if parser := _config_parser():
            argv = flags.FLAGS.read_flags_from_files(argv, force_gnu=False)
            parser.changes, argv = _split_changes(argv)
            if _asks_for_fields(argv):
                _explain_and_exit(argv)
        rest = flags.FLAGS(argv)
        if parser and parser.changes and flags.FLAGS["config"].value is None:
            path, _ = parser.changes[0]
            raise InputError(f"--config.{path} needs --config=configs/NAME.py")
    except SystemExit as end:
        # absl ends with status 1 after --help, --helpfull and the like.
        asked = any(re.match("--?help", argument) for argument in argv)
        raise SystemExit(0 if asked else end.code) from None
    except flags.IllegalFlagValueError as error:
        _fail(_with_flags(_why_illegal(error)))
    except (flags.Error, InputError) as error:
        _fail(" ".join(str(error).split()))
    if flags.FLAGS["verbosity"].using_default_value:
        # Orbax, Grain and TFDS log every detail, which --verbosity=0 shows.
        flags.FLAGS["verbosity"].value = logging.ERROR
        flags.FLAGS["verbosity"].using_default_value = False
    return rest


def _asks_for_fields(argv: list[str]) -> bool:
    """Whether --help stands beside a configuration, which it then explains."""
    given = [re.match("--?config(=|$)", argument) for argument in argv]
    return any(given) and not _HELP.isdisjoint(argv)


def _explain_and_exit(argv: list[str]) -> NoReturn:
    """Prints the fields of the configuration that the flags describe."""
    from colddiff_jax.cli.config_help import explain_config

    flags.FLAGS([argument for argument in argv if argument not in _HELP])
    given = flags.FLAGS["config"].value
    assert isinstance(given, GivenConfig)
    print(explain_config(given.name, given.fields))
    raise SystemExit(0)


def _with_home(argument: str) -> str:
    """Expands ~ in --FLAG=~/FOLDER and --FLAG=~/A,~/B, as shells do in `FLAG ~/A`."""
    if not argument.startswith("-"):
        return argument
    return re.sub(r"(?<=[=,])~[^/,]*", lambda m: os.path.expanduser(m[0]), argument)


def _split_changes(argv: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Separates --config.FIELD=VALUE, or the same as two arguments, from the others."""
    changes: list[tuple[str, str]] = []
    rest: list[str] = []
    following = iter(argv)
    for argument in following:
        given = re.fullmatch(r"--?config\.([^=]*)(=(.*))?", argument, re.DOTALL)
        if argument == "--":  # What follows is not a flag.
            return changes, [*rest, argument, *following]
        if not given:
            rest.append(argument)
            continue
        value = given[3] if given[2] else next(following, "--")
        if not given[2] and value.startswith("--"):
            raise InputError(f"{argument} has no value; give {argument}=VALUE")
        changes.append((given[1], value))
    return changes, rest


def _why_illegal(error: flags.IllegalFlagValueError) -> str:
    """Says what the value of a flag should be."""
    cause = error.__context__
    if isinstance(cause, InputError):
        return str(cause)
    given = str(error).removeprefix("flag --").removesuffix(f": {cause}")
    name, _, value = given.partition("=")
    parser = flags.FLAGS[name].parser
    choices = getattr(parser, "enum_values", None)
    expected = (
        f"one of {', '.join(choices)}"
        if choices
        else "true or false"
        if parser.flag_type() == "bool"
        else parser.syntactic_help
    )
    return f"--{name} must be {expected}, got {value!r}" if expected else str(error)


def _fail(message: str) -> NoReturn:
    program = os.path.basename(sys.argv[0])
    print(f"{program}: error: {message}", file=sys.stderr)
    raise SystemExit(1)
