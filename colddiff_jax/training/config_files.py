"""Configuration files: Python files with a function `get_config(variant)`."""

import importlib.util
import inspect
import os
import sys
import traceback
import types
from typing import Any

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
