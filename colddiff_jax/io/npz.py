"""Opens .npz files without running any code in them."""

import contextlib
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np


@contextlib.contextmanager
def open_npz(file: BinaryIO) -> Iterator[np.lib.npyio.NpzFile]:
    """Opens the arrays of an .npz file, which are read on access.

    Raises:
        ValueError: this is no .npz file. NumPy would take any other file for a pickle,
            and advise to load it unsafely. A damaged file may raise anything.

    Example:
        >>> np.savez("x.npz", x=np.zeros(3))
        >>> with open("x.npz", "rb") as file, open_npz(file) as arrays:
        ...     arrays.files
        ['x']
    """
    if not zipfile.is_zipfile(file):
        raise ValueError("it is not a zip archive of arrays, or is truncated")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        yield arrays
