"""Conversion between uint8 images on disk and float images in [-1, 1]."""

import chex
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_float, check_uint8


def to_float(images: chex.Array) -> chex.Array:
    """Maps uint8 values u in 0..255 to float32 in [-1, 1], u / 255 * 2 - 1.

    Args:
        images: uint8, any shape.

    Returns:
        float32 of the same shape.

    Raises:
        TypeError: images that are not uint8.

    Example:
        >>> to_float(jnp.array([0, 255], jnp.uint8))
        Array([-1.,  1.], dtype=float32)
    """
    check_uint8(images)
    return jnp.asarray(images).astype(jnp.float32) / 255 * 2 - 1


def to_uint8(images: chex.Array) -> np.ndarray:
    """Maps floats in [-1, 1] to uint8 by rounding; the only place that clips.

    Args:
        images: float, any shape; values outside [-1, 1] become 0 or 255, and NaN 0.

    Returns:
        uint8 NumPy array of the same shape.

    Raises:
        TypeError: images that are not floating point.

    Example:
        >>> to_uint8(np.array([-1.5, 0.0, 1.0]))
        array([  0, 128, 255], dtype=uint8)
    """
    check_float(images)
    unit = (np.asarray(images, np.float32) + 1) / 2
    return np.round(np.clip(np.nan_to_num(unit, nan=0), 0, 1) * 255).astype(np.uint8)


def as_saved(images: chex.Array) -> chex.Array:
    """Returns images as if saved and loaded again: clipped, rounded to 256 values.

    Args:
        images: float, any shape.

    Returns:
        float32 of the same shape, in [-1, 1]: to_float(to_uint8(images)), on the device
        and inside `jit`.

    Raises:
        TypeError: images that are not floating point.

    Example:
        >>> as_saved(jnp.array([-1.5, 0.0, 1.0]))
        Array([-1.        ,  0.00392163,  1.        ], dtype=float32)
    """
    check_float(images)
    unit = jnp.clip((jnp.asarray(images, jnp.float32) + 1) / 2, 0, 1)
    return jnp.round(unit * 255) / 255 * 2 - 1
