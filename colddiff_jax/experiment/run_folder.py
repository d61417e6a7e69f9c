"""The description of a run, stored in its folder: configuration, data, versions."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.experiment.sections import plain
from colddiff_jax.io import disk
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.models.preconditioning import Scales

_PACKAGES = ("colddiff-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint")

# Fields that earlier versions wrote under another name.
_RENAMED = {"test_share": "test_fraction"}


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a run depends on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def describe(
    config: Mapping[str, Any],
    fingerprint: str,
    scales: Scales | None,
    channels: int,
    class_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns the description stored with a run and with each of its checkpoints.

    Args:
        config: the configuration.
        fingerprint: of the training images.
        scales: the scales of a preconditioned network, or None.
        channels: the number of channels of the images.
        class_names: the names of their classes, if they have any.
    """
    return {
        "config": json.loads(json.dumps(plain(config))),
        "data": fingerprint,
        "scales": scales and scales._asdict(),
        "channels": channels,
        "class_names": list(class_names),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "versions": versions(),
    }


def is_run_folder(workdir: str) -> bool:
    """Whether a folder holds the description of a run."""
    return os.path.exists(os.path.join(workdir, "config.json"))


def save_description(description: Mapping[str, Any], workdir: str) -> None:
    """Writes the description of a run to its folder, from the main process only."""
    if devices.is_main_process():
        text = json.dumps(description, indent=2) + "\n"
        write_atomically(os.path.join(workdir, "config.json"), text.encode())


def load_description(workdir: str) -> dict[str, Any]:
    """Reads the description of a run.

    Returns:
        As from `describe`; "channels" and "x64" are None, and there are no
        "class_names", if an earlier version, which did not store them, trained the run.

    Raises:
        InputError: there is no such folder, it does not hold a run, or its description
            is damaged or cannot be read.
    """
    path = os.path.join(workdir, "config.json")
    if not os.path.isdir(workdir):
        raise InputError(f"no run folder {workdir!r}; train a model there first")
    try:
        with open(path) as file:
            found = json.load(file)
        return upgrade_description(found)
    except FileNotFoundError as error:
        raise InputError(
            f"{workdir!r} is not a run folder: it has no config.json"
        ) from error
    except OSError as error:
        raise disk.unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}); replace it "
            "with about.json from a checkpoint, which has the same content"
        ) from error


def upgrade_description(found: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a description from an earlier version to the current fields."""
    config = {
        section: {_RENAMED.get(name, name): value for name, value in fields.items()}
        if section in ("data", "endpoints")
        else fields
        for section, fields in found["config"].items()
    }
    required = {name: found[name] for name in ("data", "scales", "versions")}
    optional = {name: found.get(name) for name in ("channels", "x64")}
    names = found.get("class_names", [])
    return {"config": config, **required, **optional, "class_names": names}


def scales_of(description: Mapping[str, Any]) -> Scales | None:
    """Returns the scales of a preconditioned network, or None for any other."""
    scales = description["scales"]
    return scales and Scales(**{name: tuple(v) for name, v in scales.items()})


@contextlib.contextmanager
def locked(workdir: str) -> Iterator[None]:
    """Keeps other processes from training in a run folder, by a lock on the folder.

    The lock is released however this process ends. On file systems that cannot lock
    folders, such as some network file systems, it has no effect.

    Raises:
        InputError: another process is training there.
    """
    if not devices.is_main_process():
        yield
        return
    folder = os.open(workdir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise InputError(
            f"another process is training in {workdir!r}; wait until it ends, or "
            "choose another `workdir`"
        ) from error
    except OSError:  # This file system cannot lock folders.
        pass
    try:
        yield
    finally:
        os.close(folder)
