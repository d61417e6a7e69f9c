"""Classifier-free guidance: conditioning a restorer on labels more or less strongly."""

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.reprs import ShortPartial
from colddiff_jax.sampling.trajectory import RestoreFn


def guide(
    restore_fn: Any, labels: chex.Array | int, *, scale: chex.Numeric, null_label: int
) -> RestoreFn:
    """Turns a restorer that takes labels into a restorer R(x, t) for any sampler.

        R(x, t) = R(x, t, null) + scale (R(x, t, c) - R(x, t, null))

    A scale of 0 gives the unconditional prediction and 1 the conditional one, each with
    one network call per step. Any other scale takes one call with twice the batch.

    The result is a pytree whose leaves are the labels, the scale and the leaves of
    `restore_fn`; replacing them by others of the same shapes does not recompile. Scales
    of 0 and 1 compile to different programs and are therefore recognized only as Python
    numbers; an array always takes one call with twice the batch.

    Args:
        restore_fn: R, called as restore_fn(x, t, labels=labels) with labels int32 [B].
            A `jax.tree_util.Partial` avoids recompilation for new parameters.
        labels: the classes c, integers [B], or [] for one class for all images.
        scale: the guidance scale, a number or a float array [].
        null_label: the label of the unconditional prediction; for the networks of this
            package, their `num_classes`.

    Returns:
        A restorer for any sampler.

    Raises:
        ValueError: a scale that is not a finite number, or labels that are not one per
            image; the latter is raised when the restorer is called.
        TypeError: labels that are not integers.

    Example:
        >>> restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
        >>> guided = guide(restore_fn, labels, scale=2.0, null_label=10)
        >>> x_0 = jax.jit(sample_alg2)(guided, degrade, x_T).x_0

    Reference:
        Ho and Salimans (2022), arXiv:2207.12598, equation 6, whose w is scale - 1. They
        predict the noise, which for a given x_t is affine in the image.
    """
    _check_scale(scale)
    labels, null = _as_labels(labels), _as_labels(null_label)
    if jax.tree_util.all_leaves([restore_fn]):  # A plain function.
        restore_fn = jax.tree_util.Partial(restore_fn)
    if isinstance(scale, int | float) and scale in (0, 1):
        labels = labels if scale else null
        return ShortPartial(_conditional, restore_fn, labels)
    scale = jnp.asarray(scale, jnp.float32)
    return ShortPartial(_guided, restore_fn, labels, null, scale)


def _conditional(
    restore_fn: Any, labels: chex.Array, x: chex.Array, t: chex.Array
) -> chex.Array:
    """Returns R(x, t, c)."""
    return restore_fn(x, t, labels=_one_per_image(labels, x))


def _guided(
    restore_fn: Any,
    labels: chex.Array,
    null: chex.Array,
    scale: chex.Array,
    x: chex.Array,
    t: chex.Array,
) -> chex.Array:
    """Returns the prediction of `guide`, with one call for both of its terms."""
    both = jnp.concatenate([_one_per_image(labels, x), _one_per_image(null, x)])
    x0_hat = restore_fn(jnp.concatenate([x, x]), jnp.concatenate([t, t]), labels=both)
    conditional, unconditional = jnp.split(x0_hat, 2)
    guided = unconditional + scale * (conditional - unconditional)
    return guided.astype(x0_hat.dtype)


def _check_scale(scale: chex.Numeric) -> None:
    if jnp.shape(scale) != ():
        raise ValueError(
            f"scale must be one number for all images, got shape {jnp.shape(scale)}"
        )
    if not isinstance(scale, jax.core.Tracer) and not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number, such as 2.0, got {scale}")


def _as_labels(labels: chex.Array | int) -> chex.Array:
    """Returns labels as int32; raises a TypeError unless they are integers."""
    labels = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    return jnp.asarray(labels, jnp.int32)


def _one_per_image(labels: chex.Array, x: chex.Array) -> chex.Array:
    """Broadcasts labels [] or [B] to [B], for images x [B, H, W, C]."""
    if labels.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"labels must be one integer, or one per image, shape {x.shape[:1]}, got "
            f"shape {labels.shape}"
        )
    return jnp.broadcast_to(labels, x.shape[:1])
