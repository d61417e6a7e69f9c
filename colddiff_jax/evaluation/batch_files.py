"""The scores of an evaluation's batches, on disk until it is finished."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.io import disk
from colddiff_jax.io.atomic import npz_bytes, write_atomically

_OURS = re.compile(r"settings\.json|\d{6}\.[0-9a-f]{16}\.npz|\.part-.*")


class BatchFiles:
    """A folder with one file per batch, so that an interrupted evaluation goes on.

    Every file is written whole or not at all, has its hash in its name, and belongs to
    the settings that are stored beside them: files of other settings are removed.

    Args:
        folder: to write to; made if it is not there.
        settings: everything that the scores depend on, as for JSON.

    Raises:
        InputError: the folder holds anything else, or the disk refuses.

    Example:
        >>> files = BatchFiles("runs/x/evaluation.part", {"step": 100})
        >>> files.append({"mse": np.zeros(4)})
        >>> len(files)
        1
    """

    def __init__(self, folder: str, settings: Mapping[str, Any]):
        self._folder = folder
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        path = os.path.join(folder, "settings.json")
        with disk.refusals(folder):
            os.makedirs(folder, exist_ok=True)
            others = [name for name in os.listdir(folder) if not _OURS.fullmatch(name)]
            if others:
                raise InputError(
                    f"{folder} holds {min(others)!r}, which is no part of an "
                    "evaluation; name a folder of its own"
                )
            if not _holds(path, text):
                for name in os.listdir(folder):
                    os.unlink(os.path.join(folder, name))
                write_atomically(path, text.encode())
            self._paths = _whole_batches(folder)

    def __len__(self) -> int:
        """The number of batches, without a gap from the first."""
        return len(self._paths)

    def append(self, values: Mapping[str, np.ndarray]) -> None:
        """Writes the scores of the next batch."""
        content = npz_bytes(**values)
        name = f"{len(self._paths):06d}.{_digest(content)}.npz"
        path = os.path.join(self._folder, name)
        with disk.refusals(self._folder):
            write_atomically(path, content)
        self._paths.append(path)

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        """The batches in their order, open one at a time; each array is read on use."""
        for path in self._paths:
            with np.load(path, allow_pickle=False) as file:
                yield file


def _whole_batches(folder: str) -> list[str]:
    """The files of the first batches, until one is missing or not what was written."""
    paths: list[str] = []
    for name in sorted(os.listdir(folder)):
        number, _, rest = name.partition(".")
        if number == f"{len(paths):06d}":
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                if rest == f"{_digest(file.read())}.npz":
                    paths.append(path)
    return paths


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _holds(path: str, text: str) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError), open(path) as file:
        return file.read() == text
    return False
