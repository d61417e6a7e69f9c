"""Atomic file writes: a file is complete or unchanged."""

import contextlib
import io
import os
import uuid

import numpy as np


def write_atomically(path: str, data: bytes) -> None:
    """Writes a file atomically: an interruption leaves the old file unchanged.

    The data are on disk when the file gets its name, also after a power failure.
    """
    folder = os.path.dirname(os.path.abspath(path))
    part = os.path.join(folder, f".part-{uuid.uuid4().hex}")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def sync_folder(folder: str) -> None:
    """Flushes the names in a folder to disk, where the file system supports it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_npz(path: str, **arrays: np.ndarray) -> None:
    """Writes arrays as a compressed .npz file, atomically."""
    write_atomically(path, npz_bytes(**arrays))


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """Returns arrays as the bytes of a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
