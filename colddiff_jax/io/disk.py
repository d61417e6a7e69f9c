"""Readable errors of the file system: no space, no permission, no such folder."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from colddiff_jax.checks import InputError
from colddiff_jax.io.atomic import write_atomically

_FIXES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOTDIR: "name a folder, not a file",
    errno.EEXIST: "name a folder, not a file",
    errno.EISDIR: "move that folder away",
    errno.ELOOP: "remove that link",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def refusal(error: BaseException) -> tuple[str, str] | None:
    """Explains an error if it means that writing to the disk failed.

    Args:
        error: an `OSError`, or an error of TensorStore that quotes the system's.

    Returns:
        The system's reason and the fix; None for any other error.

    Example:
        >>> refusal(OSError(errno.ENOSPC, "No space left on device"))
        ('No space left on device', 'free some space there')
    """
    if isinstance(error, OSError):
        fix = _FIXES.get(error.errno or 0, "check that path")
        return error.strerror or str(error), fix
    for code, fix in _FIXES.items():
        if os.strerror(code) in str(error):
            return os.strerror(code), fix
    return None


@contextlib.contextmanager
def refusals(folder: str) -> Iterator[None]:
    """Turns failed writes into one-line errors that name the folder.

    Raises:
        InputError: writing to the folder failed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FIXES:  # Not a failed write.
            raise
        raise InputError(
            f"cannot write to {error.filename or folder}: {error.strerror}; "
            f"{_FIXES[error.errno]}, and try again"
        ) from error


def write_file(path: str, data: bytes) -> None:
    """Writes a file atomically; its folder is created if missing.

    Raises:
        InputError: the file cannot be written.

    Example:
        >>> write_file("notes/note.txt", b"text")
    """
    with refusals(path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        write_atomically(path, data)


def unused_stem(stem: str, endings: Sequence[str]) -> str:
    """Returns a path for new files, with a number if any of them exists.

    Args:
        stem: the path without the endings.
        endings: what the names of the files add to it.

    Example:
        >>> write_file("samples/grid.png", b"picture")
        >>> unused_stem("samples/grid", [".png", ".npz"])
        'samples/grid-2'
    """
    number, unused = 1, stem
    while any(os.path.lexists(unused + ending) for ending in endings):
        number += 1
        unused = f"{stem}-{number}"
    return unused


def unreadable(path: str, error: OSError) -> InputError:
    """Returns the error for a path that is there but cannot be read."""
    return InputError(f"{path} cannot be read ({error.strerror}); make it readable")


def names_in(folder: str) -> list[str]:
    """Returns the names of everything in a folder, or none if it does not exist.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error) from error


def check_space(folder: str, state: Any) -> None:
    """Creates a folder and checks that it has space for a state.

    Args:
        folder: where the state is to be saved.
        state: a tree of arrays, or of `jax.ShapeDtypeStruct`.

    Raises:
        InputError: the folder cannot be created or written to, or has no space left
            for one more state.

    Example:
        >>> check_space("runs/digits_blur", {"kernel": np.zeros((3, 3, 64, 64))})
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"test")
    except OSError as error:
        raise InputError(
            f"cannot write to {folder!r}: {error.strerror}; choose another folder or "
            "make it writable"
        ) from error
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    needed = size + 2**20  # A megabyte for everything else.
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder!r} has {free / 1e6:,.0f} MB left and a checkpoint takes "
            f"{needed / 1e6:,.0f} MB; free some space there or choose another folder"
        )
