"""Classifier-free guidance: a restorer that is told more loudly what is in an image."""

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.sampling.walk import RestoreFn


def guide(
    restore_fn: Any, labels: chex.Array | int, *, scale: chex.Numeric, null_label: int
) -> RestoreFn:
    """Makes a restorer R(x, t) of one that takes labels, for any sampler.

        R(x, t) = R(x, t, null) + scale (R(x, t, c) - R(x, t, null))

    A scale of 0 ignores the labels and 1 only follows them, each with one call of the
    network per step. Anything else is one call with the batch twice.

    The result is a pytree with the labels, the scale and all that `restore_fn` holds as
    leaves: other ones of the same shapes compile nothing. Since 0 and 1 are programs of
    their own, only Python's numbers choose them; an array is always a call with the
    batch twice.

    Args:
        restore_fn: R, called as restore_fn(x, t, labels=labels) with labels int32 [B].
            For the form that never recompiles, a `jax.tree_util.Partial`.
        labels: the classes c, integers [B], or [] for one of all images.
        scale: how loudly, a number or a float array [].
        null_label: the class that means none in particular; of this package's
            networks, their `num_classes`.

    Returns:
        A restorer for any sampler.

    Raises:
        ValueError: a scale that is no finite number, or labels that are not one per
            image, the latter when the restorer is called.
        TypeError: labels that are not integers.

    Example:
        >>> restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
        >>> guided = guide(restore_fn, labels, scale=2.0, null_label=10)
        >>> x_0 = jax.jit(sample_alg2)(guided, degrade, x_T).x_0

    Reference:
        Ho and Salimans (2022), arXiv:2207.12598, equation 6, whose w is scale - 1, for
        predictions of the noise; for a given x_t these are affine in the image.
    """
    _check_scale(scale)
    labels, null = _as_labels(labels), _as_labels(null_label)
    if jax.tree_util.all_leaves([restore_fn]):  # A plain function is no array.
        restore_fn = jax.tree_util.Partial(restore_fn)
    if isinstance(scale, int | float) and scale in (0, 1):
        return jax.tree_util.Partial(_told, restore_fn, labels if scale else null)
    scale = jnp.asarray(scale, jnp.float32)
    return jax.tree_util.Partial(_guided, restore_fn, labels, null, scale)


def _told(
    restore_fn: Any, labels: chex.Array, x: chex.Array, t: chex.Array
) -> chex.Array:
    """R(x, t, c) with one call."""
    return restore_fn(x, t, labels=_one_per_image(labels, x))


def _guided(
    restore_fn: Any,
    labels: chex.Array,
    null: chex.Array,
    scale: chex.Array,
    x: chex.Array,
    t: chex.Array,
) -> chex.Array:
    """The formula of `guide`, both predictions with one call."""
    both = jnp.concatenate([_one_per_image(labels, x), _one_per_image(null, x)])
    twice = restore_fn(jnp.concatenate([x, x]), jnp.concatenate([t, t]), labels=both)
    told, untold = jnp.split(twice, 2)
    return (untold + scale * (told - untold)).astype(twice.dtype)


def _check_scale(scale: chex.Numeric) -> None:
    if jnp.shape(scale) != ():
        raise ValueError(
            f"scale must be one number for all images, got shape {jnp.shape(scale)}"
        )
    if not isinstance(scale, jax.core.Tracer) and not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number, such as 2.0, got {scale}")


def _as_labels(labels: chex.Array | int) -> chex.Array:
    """Labels as int32, or a TypeError."""
    labels = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    return jnp.asarray(labels, jnp.int32)


def _one_per_image(labels: chex.Array, x: chex.Array) -> chex.Array:
    """Labels [] or [B] as [B], for images x [B, H, W, C]."""
    if labels.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"labels must be one integer, or one per image, shape ({len(x)},), got "
            f"shape {labels.shape}"
        )
    return jnp.broadcast_to(labels, x.shape[:1])
