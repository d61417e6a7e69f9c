"""A hash of the data, by which a run that is resumed notices other data."""

import hashlib

import numpy as np

from colddiff_jax.data.splits import Images
from colddiff_jax.errors import InputError


def fingerprint(
    images: Images, *, labels: np.ndarray | None = None, num_samples: int = 256
) -> str:
    """SHA-256 of how many images there are, of a sample of them, and of all labels.

    Args:
        images: uint8 images [H, W, C] of any sizes, in their order.
        labels: their classes, integers [N].
        num_samples: how many images are read, at least 2: evenly spaced, the first and
            the last among them. A change that touches none of them is not noticed.

    Returns:
        64 hexadecimal digits, the same on every machine.

    Example:
        >>> fingerprint(np.zeros((5, 8, 8, 1), np.uint8))[:8]
        '8be311db'
    """
    if num_samples < 2:
        raise InputError(f"num_samples must be at least 2, got {num_samples}")
    count = len(images)
    sampled = min(count, num_samples)
    digest = hashlib.sha256(f"{count} images".encode())
    for i in range(sampled):
        image = np.asarray(images[i * (count - 1) // max(sampled - 1, 1)])
        digest.update(f"{image.dtype} {image.shape}".encode())
        digest.update(image.tobytes())
    if labels is not None:
        digest.update(f"{len(labels)} labels".encode())
        digest.update(np.asarray(labels).astype("<i8").tobytes())
    return digest.hexdigest()
