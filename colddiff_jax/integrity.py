"""Folders that are whole or not there, and proof that they still are.

A folder is filled under the name `<name>.part` and gets its own when all is in it; one
that goes is renamed `<name>.deleted` first. Both are a single rename, so that a process
killed at any moment leaves nothing half-done under the name itself.

A manifest holds a SHA-256 of every file, because neither Orbax nor TensorStore checks
the values of arrays: they restore a flipped bit without a word.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator

from colddiff_jax.errors import InputError

MANIFEST = "manifest.json"
_PART, _DELETED = ".part", ".deleted"


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[str]:
    """A folder to fill, which is named `path` and sealed on leaving without an error.

    Example:
        >>> with new_folder("checkpoints/2000") as part:
        ...     write_everything_into(part)
    """
    part = path + _PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        os.makedirs(part)
        yield part
        digests = {file: _digest(part, file) for file in _files(part)}
        with open(os.path.join(part, MANIFEST), "w") as manifest:
            json.dump(digests, manifest, indent=1)
        os.rename(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def delete_folder(path: str) -> None:
    """Deletes a folder, which is gone under its name before its first file is."""
    shutil.rmtree(path + _DELETED, ignore_errors=True)
    os.rename(path, path + _DELETED)
    shutil.rmtree(path + _DELETED)


def delete_leftovers(parent: str) -> None:
    """Deletes what killed processes left of folders that came or went."""
    for name in os.listdir(parent):
        if name.endswith((_PART, _DELETED)):
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)


def damage(folder: str) -> str | None:
    """Compares a folder with its manifest.

    Args:
        folder: one that `new_folder` has made.

    Returns:
        What is wrong, as "<file> is missing", or None if every file is as it was.

    Raises:
        InputError: a file cannot be read, whatever it holds.

    Example:
        >>> damage("runs/digits_blur/checkpoints/2000")
        'state/d/3c5324d6409edee0 is not what was written'
    """
    try:
        with open(os.path.join(folder, MANIFEST)) as manifest:
            digests = json.load(manifest)
            entries = digests.items()
    except (FileNotFoundError, IsADirectoryError):
        return f"{MANIFEST} is missing"
    except (ValueError, AttributeError):
        return f"{MANIFEST} is not what was written"
    except OSError as error:
        raise _unreadable(folder, MANIFEST, error) from error
    damages = (_damage_of_file(folder, *entry) for entry in entries)
    found = next(filter(None, damages), None)
    # Where a name in the manifest is damaged, its file is there under its own.
    unlisted = set(_files(folder)) - {MANIFEST, *digests}
    if found and found.endswith(" is missing") and unlisted:
        return f"{MANIFEST} is not what was written"
    return found


def _damage_of_file(folder: str, file: str, digest: str) -> str | None:
    try:
        same = _digest(folder, file) == digest
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        # ValueError: a damaged manifest may hold what can be no file's name.
        return f"{file} is missing"
    except OSError as error:
        raise _unreadable(folder, file, error) from error
    return None if same else f"{file} is not what was written"


def _unreadable(folder: str, file: str, error: OSError) -> InputError:
    """What cannot be read now may be whole: it must not pass for damaged."""
    return InputError(
        f"{os.path.join(folder, file)} cannot be read ({error.strerror}); make it "
        "readable, or delete the folder it is in"
    )


def _files(folder: str) -> list[str]:
    """The paths of all files below a folder, relative to it."""
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder)
        for name in names
    )


def _digest(folder: str, path: str) -> str:
    with open(os.path.join(folder, path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
