"""A hash of the data, by which a resumed run detects that its data changed."""

import hashlib

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data.splits import Images


def fingerprint(
    images: Images, *, labels: np.ndarray | None = None, num_samples: int = 256
) -> str:
    """Returns the SHA-256 of the number of images, a sample of them, and all labels.

    Args:
        images: uint8 images [H, W, C] of any sizes, in order.
        labels: their classes, integers [N].
        num_samples: how many images are read, at least 2: evenly spaced, including the
            first and the last. A change to none of these images goes unnoticed.

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
