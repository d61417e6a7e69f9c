"""What a disk can refuse, in words: no space, no permission, no such folder."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import jax

from colddiff_jax.errors import InputError

_FIXES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOTDIR: "name a folder, not a file",
    errno.EEXIST: "name a folder, not a file",
}


def refusal(error: BaseException) -> tuple[str, str] | None:
    """Tells whether an error means that the disk refused to write.

    Args:
        error: an `OSError`, or one of TensorStore's, which only quote the system's.

    Returns:
        The system's reason and what to do about it; None for any other error.

    Example:
        >>> refusal(OSError(errno.ENOSPC, "No space left on device"))
        ('No space left on device', 'free some space there')
    """
    if isinstance(error, OSError):
        fix = _FIXES.get(error.errno or 0, "look after that folder")
        return error.strerror or str(error), fix
    for code, fix in _FIXES.items():
        if os.strerror(code) in str(error):
            return os.strerror(code), fix
    return None


@contextlib.contextmanager
def refusals(folder: str) -> Iterator[None]:
    """Turns what the disk refuses into one line that names the folder.

    Raises:
        InputError: writing to the folder failed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FIXES:  # Something else than writing.
            raise
        raise InputError(
            f"cannot write to {error.filename or folder}: {error.strerror}; "
            f"{_FIXES[error.errno]} and run the same command again"
        ) from error


def check_space(folder: str, state: Any) -> None:
    """Makes a folder and checks that a state can be saved in it.

    Args:
        folder: where the state is to be saved.
        state: a tree of arrays, or of `jax.ShapeDtypeStruct`.

    Raises:
        InputError: the folder cannot be made or written to, or has no space left for
            one more state.

    Example:
        >>> check_space("runs/digits_blur", state)
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"to be forgotten")
    except OSError as error:
        raise InputError(
            f"cannot write to {folder!r}: {error.strerror}; choose another folder or "
            "make it writable"
        ) from error
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    needed = size + 2**20  # A megabyte for all that is not an array.
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder!r} has {free / 1e6:,.0f} MB left and a checkpoint takes "
            f"{needed / 1e6:,.0f} MB; free some space there or choose another folder"
        )
