"""Configuration files: Python files with a function `get_config(variant)`."""

import ast
import importlib.util
import inspect
import os
import sys
import traceback
import types
from typing import Any, NamedTuple

import ml_collections

from colddiff_jax.checks import InputError


def split_name(name: str) -> tuple[str, str]:
    """Splits the name of a configuration into its path and its variant.

    Args:
        name: a name or path, followed by a colon and a variant if there is one. A path
            may begin with ~ and may have colons in it.

    Example:
        >>> split_name("configs/mnist_blur.py:cpu")
        ('configs/mnist_blur.py', 'cpu')
    """
    name = os.path.expanduser(name)
    path, colon, variant = name.rpartition(":")
    if not colon or "/" in variant or os.path.isfile(name):
        return name, ""
    return path, variant


class ConfigFile(NamedTuple):
    """What the text of a configuration file says about it.

    Attributes:
        purpose: the first line of its docstring, which says what is trained.
        variants: their names, in the order of the file.
    """

    purpose: str
    variants: tuple[str, ...]


def shipped_configs() -> dict[str, str]:
    """Returns the paths of the configurations of this library, by name."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    in_wheel = os.path.join(package, "configs")
    in_clone = os.path.join(os.path.dirname(package), "configs")
    folder = in_wheel if os.path.isdir(in_wheel) else in_clone
    return {
        file.removesuffix(".py"): os.path.join(folder, file)
        for file in sorted(os.listdir(folder))
        if file.endswith(".py")
    }


def find_config(name: str) -> tuple[str, str]:
    """Returns the path and the variant of a configuration.

    Args:
        name: of a configuration of this library, or the path of a file. A variant
            follows a colon.

    Raises:
        InputError: no such configuration.
    """
    path, variant = split_name(name)
    shipped = shipped_configs()
    path = shipped.get(path, path)
    if not os.path.isfile(path):
        raise InputError(
            f"no configuration {name!r}; this library has {', '.join(shipped)}"
        )
    return path, variant


def read_config(path: str) -> ConfigFile:
    """Reads what a configuration says about itself, without running it.

    Its variants are the keywords with which it calls `training.config.with_variant`.

    Example:
        >>> read_config(shipped_configs()["photo_deblur"]).variants
        ('cpu', 'smoke')
    """
    with open(path, encoding="utf-8") as file:
        module = ast.parse(file.read())
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    variants = [
        keyword.arg
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "with_variant"
        for keyword in call.keywords
        if keyword.arg
    ]
    purpose, _, _ = (ast.get_docstring(module) or "").partition("\n")
    return ConfigFile(purpose, tuple(variants))


def load_config(path: str, variant: str) -> Any:
    """Returns what the function `get_config` of a file returns.

    Args:
        path: a Python file.
        variant: the argument of `get_config`; empty for none.

    Raises:
        InputError: the file is not Python, fails, or has no such function; or there is
            no such variant.
    """
    if not path.endswith(".py"):
        raise InputError(
            f"{path!r} is not a configuration, which is a Python file (.py) with a "
            "function get_config(variant)"
        )
    try:
        get_config = getattr(_import(path), "get_config", None)
        if not callable(get_config):
            raise InputError(
                f"{path!r} is not a configuration: it has no function "
                "get_config(variant)"
            )
        arguments = [variant] if variant else []
        _check_arguments(path, inspect.signature(get_config), arguments)
        config = get_config(*arguments)
    except InputError:
        raise
    except Exception as error:  # Code of the user, which can raise anything.
        raise InputError(f"{_describe(path, error)}; correct that file") from error
    if not isinstance(config, ml_collections.ConfigDict | dict):
        raise InputError(
            f"get_config of {path!r} must return an ml_collections.ConfigDict, got "
            f"{type(config).__name__}"
        )
    return config


def _import(path: str) -> types.ModuleType:
    """Runs a Python file as the module `colddiff_config`."""
    spec = importlib.util.spec_from_file_location("colddiff_config", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def _check_arguments(
    path: str, signature: inspect.Signature, arguments: list[str]
) -> None:
    try:
        signature.bind(*arguments)
    except TypeError as error:
        fix = f"leave :{arguments[0]} out" if arguments else "add :VARIANT"
        raise InputError(
            f"get_config of {path!r} takes the arguments {signature}; {fix}"
        ) from error


def _describe(path: str, error: Exception) -> str:
    """Returns the place and the message of an error in a file, in one line."""
    if isinstance(error, SyntaxError):
        place, message = error.lineno, error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        whole = os.path.abspath(path)
        lines = [frame.lineno for frame in frames if frame.filename == whole]
        place, message = lines[-1] if lines else None, str(error)
    where = f"{path!r}, line {place}" if place else repr(path)
    return f"{where}: {type(error).__name__}: {' '.join(message.split())}"
