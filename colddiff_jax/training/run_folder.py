"""What a run folder knows of its run: the configuration, the data, the packages."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping
from typing import Any

from colddiff_jax import parallel
from colddiff_jax.errors import InputError
from colddiff_jax.models.preconditioning import Scales
from colddiff_jax.training.experiment import plain
from colddiff_jax.writers import write_atomically

_PACKAGES = ("colddiff-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint")

# What may differ when a run goes on: nothing here touches what is learned. Images may
# have moved; a hash tells whether they are the same.
_FREE = (
    "data.path",
    "data.data_dir",
    "endpoints.path",
    "endpoints.data_dir",
    "training.num_steps",
    "training.log_every",
    "training.evaluate_every",
    "training.checkpoint_every",
    "training.steps_per_call",
    "training.resident_mb",
    "training.num_workers",
    "training.profile_steps",
    "evaluation.",
    "logging.",
)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run depends on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def describe(
    config: Mapping[str, Any], fingerprint: str, scales: Scales | None
) -> dict[str, Any]:
    """What is stored with a run and with each of its checkpoints.

    Args:
        config: the configuration.
        fingerprint: of the training images.
        scales: of a preconditioned network.
    """
    return {
        "config": json.loads(json.dumps(plain(config))),
        "data": fingerprint,
        "scales": scales and scales._asdict(),
        "versions": versions(),
    }


def check_description(description: Mapping[str, Any], workdir: str) -> None:
    """Checks the description of a run against the one in its folder, if any.

    Args:
        description: from `describe`.
        workdir: the run folder.

    Raises:
        InputError: the folder holds a run of another configuration or other data. The
            number of steps, how often the loop looks up, where the images are, and the
            sections evaluation and logging may change: they do not touch what is
            learned.
    """
    if not os.path.exists(os.path.join(workdir, "config.json")):
        return
    before = load_description(workdir)
    changed = differences(before["config"], description["config"])
    if changed:
        raise InputError(
            f"{workdir} holds a run of another configuration "
            f"({'; '.join(changed)}); choose another --workdir, remove that "
            "folder, or go on with the new one by --force"
        )
    if before["data"] != description["data"]:
        raise InputError(
            f"{workdir} holds a run on other images than data.source gives now "
            f"(their hash was {before['data'][:12]} and is "
            f"{description['data'][:12]}); choose another --workdir, or go on with "
            "these by --force"
        )


@contextlib.contextmanager
def locked(workdir: str) -> Iterator[None]:
    """Keeps others from training in a run folder, by a lock of the system on it.

    However this process ends, that takes the lock away. File systems without locks on
    folders, as some network ones, give none.

    Raises:
        InputError: another process trains there.
    """
    if not parallel.is_main_process():
        yield
        return
    folder = os.open(workdir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise InputError(
            f"another process trains in {workdir!r}; wait until it has ended, or "
            "choose another --workdir"
        ) from error
    except OSError:  # No locks here.
        pass
    try:
        yield
    finally:
        os.close(folder)


def save_description(description: Mapping[str, Any], workdir: str) -> None:
    """Writes the description of a run to its folder, in one process."""
    if parallel.is_main_process():
        text = json.dumps(description, indent=2) + "\n"
        write_atomically(os.path.join(workdir, "config.json"), text.encode())


def load_description(workdir: str) -> dict[str, Any]:
    """Reads the description of a run.

    Raises:
        InputError: there is no such folder, or it holds no run, or a damaged one.
    """
    path = os.path.join(workdir, "config.json")
    if not os.path.isdir(workdir):
        raise InputError(f"no run folder {workdir!r}; train one with train.py first")
    if not os.path.isfile(path):
        raise InputError(f"{workdir!r} is not a run folder: it has no config.json")
    try:
        with open(path) as file:
            found = json.load(file)
        return {name: found[name] for name in ("config", "data", "scales", "versions")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}); put about.json of a "
            "checkpoint in its place, which holds the same"
        ) from error


def load_scales(workdir: str) -> Scales | None:
    """The scales of a run's preconditioned network; None if it has none, or is new."""
    if not os.path.exists(os.path.join(workdir, "config.json")):
        return None
    return scales_of(load_description(workdir))


def scales_of(description: Mapping[str, Any]) -> Scales | None:
    """The scales in the description of a run, if its network is preconditioned."""
    scales = description["scales"]
    return scales and Scales(**{name: tuple(v) for name, v in scales.items()})


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The fields that differ and matter, as "optimizer.learning_rate: 0.1 -> 0.2"."""
    old, new = _flatten(before), _flatten(after)
    return [
        f"{field}: {old.get(field)!r} -> {new.get(field)!r}"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field) and not field.startswith(_FREE)
    ]


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{prefix}{name}"
        flat |= (
            _flatten(value, f"{path}.") if isinstance(value, dict) else {path: value}
        )
    return flat
