"""Smooth filling of missing pixels, from coarse to fine."""

import math

import chex
import jax
import jax.numpy as jnp

_SWEEPS = 8  # Of each kind, per resolution.
_LEAST = 1e-6  # Keeps sums of no weights from being divided by.


def fill_smoothly(x: chex.Array, known: chex.Array) -> chex.Array:
    """Fills missing pixels by smooth surfaces through the known ones around them.

    Every resolution is half the next one: a coarse pixel is the mean of the known ones
    of its 2 x 2, missing ones begin with the result of the coarser resolution, and
    Jacobi sweeps make the surface harmonic, then biharmonic.

    Args:
        x: images, float [B, H, W, C]; the values of missing pixels have no effect.
        known: whether each pixel is known, bool [B, H, W, 1].

    Returns:
        float32 [B, H, W, C], with the known pixels of x; 0 where none is known.

    Example:
        >>> x = jnp.full((1, 8, 8, 3), 0.5)
        >>> bool((fill_smoothly(x, jnp.eye(8)[None, ..., None] == 0) == 0.5).all())
        True

    Reference:
        Gortler et al. (1996), "The Lumigraph", section 3.4, "pull-push". Not in the
        paper.
    """
    levels = math.ceil(math.log2(max(x.shape[1:3])))
    weights = jnp.broadcast_to(known, (*x.shape[:3], 1)).astype(jnp.float32)
    return _fill(x.astype(jnp.float32) * weights, weights, levels)


def _fill(x: chex.Array, weights: chex.Array, levels: int) -> chex.Array:
    """Fills images whose pixels count by their weights in [0, 1]."""
    if not levels:
        return x * weights
    shape = x.shape
    total = _sum_of_four(weights)
    coarse = _sum_of_four(x * weights) / jnp.maximum(total, _LEAST)
    filled = _fill(coarse, jnp.minimum(total, 1.0), levels - 1)
    twice = (shape[0], 2 * filled.shape[1], 2 * filled.shape[2], shape[3])
    larger = jax.image.resize(filled, twice, "linear")[:, : shape[1], : shape[2]]
    start = weights * x + (1 - weights) * larger
    known = weights >= 1

    def harmonic(_: int, x: chex.Array) -> chex.Array:
        return jnp.where(known, x, x + _laplacian(x))

    def biharmonic(_: int, x: chex.Array) -> chex.Array:
        return jnp.where(known, x, x - _laplacian(_laplacian(x)) / 2)

    smooth = jax.lax.fori_loop(0, _SWEEPS, harmonic, start)
    return jax.lax.fori_loop(0, _SWEEPS, biharmonic, smooth)


def _sum_of_four(x: chex.Array) -> chex.Array:
    """Returns the sums of 2 x 2 pixels; those beyond the edges are 0."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    return x.reshape(batch, rows, 2, columns, 2, channels).sum(axis=(2, 4))


def _laplacian(x: chex.Array) -> chex.Array:
    """Returns the mean of the four neighbours minus the pixel, with mirrored edges."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    around = (
        padded[:, :-2, 1:-1]
        + padded[:, 2:, 1:-1]
        + padded[:, 1:-1, :-2]
        + padded[:, 1:-1, 2:]
    )
    return around / 4 - x
