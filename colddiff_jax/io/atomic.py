"""Atomic file writes: a file is complete or unchanged."""

import io
import os
import tempfile

import numpy as np


def write_atomically(path: str, data: bytes) -> None:
    """Writes a file atomically: an interruption leaves the old file unchanged."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, part = tempfile.mkstemp(dir=folder, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes private files; apply the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(part, 0o666 & ~umask)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def save_npz(path: str, **arrays: np.ndarray) -> None:
    """Writes arrays as a compressed .npz file, atomically."""
    write_atomically(path, npz_bytes(**arrays))


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """Returns arrays as the bytes of a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
