"""Finds the published weights of feature networks on disk and verifies them.

Nothing is downloaded: if a file is missing, the error says where to get it.
"""

import hashlib
import os

from colddiff_jax.checks import InputError

_TORCH_HUB = os.path.join("~", ".cache", "torch", "hub", "checkpoints")


def cache_folder() -> str:
    """Returns the cache folder: COLDDIFF_CACHE, or by default ~/.cache/colddiff_jax."""
    default = os.path.join("~", ".cache", "colddiff_jax")
    return os.path.expanduser(os.environ.get("COLDDIFF_CACHE") or default)


def find_weights(name: str) -> str | None:
    """Searches the usual folders for a weights file.

    These are, in order, the folder named by COLDDIFF_DATA, its subfolder `weights`,
    `cache_folder()`, and PyTorch's download folder.

    Args:
        name: name of the file, without a folder.

    Returns:
        The path of the first match, or None.

    Example:
        >>> find_weights("cifar10_resnet56.npz")   # with COLDDIFF_DATA set
        '/.../weights/cifar10_resnet56.npz'
    """
    folders = [cache_folder(), os.path.expanduser(_TORCH_HUB)]
    if data := os.path.expanduser(os.environ.get("COLDDIFF_DATA", "")):
        folders = [data, os.path.join(data, "weights"), *folders]
    paths = (os.path.join(folder, name) for folder in folders)
    return next(filter(os.path.isfile, paths), None)


def check_sha256(path: str, expected: str) -> None:
    """Checks that a file has the published hash.

    Args:
        path: path of the file.
        expected: its SHA-256, in hexadecimal digits.

    Raises:
        InputError: the file cannot be read, or its hash differs.

    Example:
        >>> with open("weights.bin", "wb") as file:
        ...     size = file.write(b"weights")
        >>> check_sha256("weights.bin", hashlib.sha256(b"weights").hexdigest())
    """
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"no file {path!r}") from None
    except OSError as error:
        raise InputError(f"{path!r} cannot be read ({error.strerror})") from error
    if found != expected:
        raise InputError(
            f"{path!r} has SHA-256 {found} instead of {expected}: it is truncated, "
            "damaged or a different file; delete it and download it again"
        )
