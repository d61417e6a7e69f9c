"""Folders that are created and deleted atomically, and verified by checksums.

A folder is filled under the name `<name>.part` and renamed to its own name when it is
complete; before deletion it is renamed to `<name>.deleted`. Each step is a single
rename, so a process killed at any moment never leaves an incomplete folder `<name>`.

A manifest holds the SHA-256 of every file, because neither Orbax nor TensorStore checks
the values of arrays: they restore a flipped bit silently.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator

from colddiff_jax.checks import InputError
from colddiff_jax.io.atomic import sync_folder

MANIFEST = "manifest.json"
_PART, _DELETED = ".part", ".deleted"


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[str]:
    """Yields a folder to fill; on success adds the manifest and renames it to `path`.

    Example:
        >>> with new_folder("checkpoints/2000") as part:
        ...     np.save(os.path.join(part, "params.npy"), np.zeros(3))
        >>> sorted(os.listdir("checkpoints/2000"))
        ['manifest.json', 'params.npy']
    """
    part = path + _PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        os.makedirs(part)
        yield part
        digests = {file: _digest(part, file) for file in _files(part)}
        with open(os.path.join(part, MANIFEST), "w") as manifest:
            json.dump(digests, manifest, indent=1)
        _flush(part)
        os.rename(part, path)
        sync_folder(os.path.dirname(os.path.abspath(path)))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def delete_folder(path: str) -> None:
    """Deletes a folder after renaming it, so it is never incomplete under its name."""
    shutil.rmtree(path + _DELETED, ignore_errors=True)
    os.rename(path, path + _DELETED)
    shutil.rmtree(path + _DELETED)


def delete_leftovers(parent: str) -> None:
    """Deletes the unfinished and half-deleted folders that killed processes left."""
    for name in os.listdir(parent):
        if name.endswith((_PART, _DELETED)):
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)


def damage(folder: str) -> str | None:
    """Compares a folder with its manifest.

    Args:
        folder: a folder made by `new_folder`.

    Returns:
        The first damage found, such as "<file> is missing", or None if every file is
        intact.

    Raises:
        InputError: a file cannot be read, so that it may or may not be damaged.

    Example:
        >>> with new_folder("results") as part:
        ...     np.save(os.path.join(part, "x.npy"), np.zeros(3))
        >>> os.remove("results/x.npy")
        >>> damage("results")
        'x.npy is missing'
    """
    try:
        with open(os.path.join(folder, MANIFEST)) as manifest:
            digests = json.load(manifest)
            entries = digests.items()
    except (FileNotFoundError, IsADirectoryError):
        return f"{MANIFEST} is missing"
    except (ValueError, AttributeError):
        return f"{MANIFEST} is corrupted"
    except OSError as error:
        raise _unreadable(folder, MANIFEST, error) from error
    damages = (_damage_of_file(folder, *entry) for entry in entries)
    found = next(filter(None, damages), None)
    # If a file name in the manifest is damaged, the file itself is still there.
    unlisted = set(_files(folder)) - {MANIFEST, *digests}
    if found and found.endswith(" is missing") and unlisted:
        return f"{MANIFEST} is corrupted"
    return found


def _damage_of_file(folder: str, file: str, digest: str) -> str | None:
    try:
        same = _digest(folder, file) == digest
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        # ValueError: a damaged manifest may hold an invalid file name.
        return f"{file} is missing"
    except OSError as error:
        raise _unreadable(folder, file, error) from error
    return None if same else f"{file} is corrupted"


def _unreadable(folder: str, file: str, error: OSError) -> InputError:
    """Returns the error for a file that may be intact, so must not count as damaged."""
    return InputError(
        f"{os.path.join(folder, file)} cannot be read ({error.strerror}); make it "
        "readable, or delete its folder"
    )


def _flush(folder: str) -> None:
    """Flushes all files in a folder to disk, so that a power failure loses none."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(parent)


def _files(folder: str) -> list[str]:
    """Returns the paths of all files below a folder, relative to it."""
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder)
        for name in names
    )


def _digest(folder: str, path: str) -> str:
    with open(os.path.join(folder, path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
