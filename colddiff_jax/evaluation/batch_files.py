"""Scores of batches, kept on disk until an evaluation is finished."""

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

_KNOWN = re.compile(r"settings\.json|\d{6}\.[0-9a-f]{16}\.npz|\.part-.*")


class BatchFiles:
    """A folder with one file per batch, so that an interrupted evaluation can resume.

    Each file is written atomically and has its hash in its name. The settings are
    stored in the same folder; files of other settings are deleted.

    Args:
        folder: the folder, created if missing.
        settings: everything that the scores depend on, as JSON.

    Raises:
        InputError: the folder holds other files, or cannot be written to.

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
            others = [name for name in os.listdir(folder) if not _KNOWN.fullmatch(name)]
            if others:
                raise InputError(
                    f"{folder} holds {min(others)!r}, which is not part of an "
                    "evaluation; choose another folder"
                )
            if not _holds(path, text):
                for name in os.listdir(folder):
                    os.unlink(os.path.join(folder, name))
                write_atomically(path, text.encode())
            self._paths = _intact_batches(folder)

    def __len__(self) -> int:
        """The number of batches before the first that is missing or damaged."""
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
        """Iterates over the batches; arrays are read only when used."""
        for path in self._paths:
            with np.load(path, allow_pickle=False) as file:
                yield file


def _intact_batches(folder: str) -> list[str]:
    """Returns the files of the batches before the first missing or damaged one."""
    paths: list[str] = []
    for name in sorted(os.listdir(folder)):
        index, _, rest = name.partition(".")
        if index == f"{len(paths):06d}":
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
