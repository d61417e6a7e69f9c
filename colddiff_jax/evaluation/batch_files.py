"""The scores of an evaluation's batches, on disk until it is finished."""

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from colddiff_jax import disk
from colddiff_jax.writers import save_npz, write_atomically


class BatchFiles:
    """A folder with one file per batch, so that an interrupted evaluation goes on.

    Every file is written whole or not at all, and belongs to the settings that are
    stored beside them: with other settings the folder is emptied.

    Args:
        folder: to write to; made if it is not there.
        settings: everything that the scores depend on, as for JSON.

    Raises:
        InputError: the disk refuses.

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
            if not _holds(path, text):
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
                write_atomically(path, text.encode())
            self._length = 0
            while self._is_whole(self._length):
                self._length += 1

    def __len__(self) -> int:
        """The number of batches, without a gap from the first."""
        return self._length

    def append(self, values: Mapping[str, np.ndarray]) -> None:
        """Writes the scores of the next batch."""
        with disk.refusals(self._folder):
            save_npz(self._path(self._length), **values)
        self._length += 1

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Reads the batches in their order, one at a time."""
        for number in range(self._length):
            with np.load(self._path(number), allow_pickle=False) as file:
                yield {name: file[name] for name in file.files}

    def _path(self, number: int) -> str:
        return os.path.join(self._folder, f"{number:06d}.npz")

    def _is_whole(self, number: int) -> bool:
        """Whether a batch is there, and all of its bytes are what was written."""
        with (
            contextlib.suppress(OSError, zipfile.BadZipFile),
            zipfile.ZipFile(self._path(number)) as archive,
        ):
            return archive.testzip() is None
        return False


def _holds(path: str, text: str) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError), open(path) as file:
        return file.read() == text
    return False
