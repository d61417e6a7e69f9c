"""How well a restored image explains what was observed, and the nearest that does."""

import chex
import jax
import jax.numpy as jnp

from colddiff_jax.degradations.base import (
    Degradation,
    Linear,
    check_images,
    last_step,
)


def data_consistency(
    x_0: chex.Array,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    t: chex.Numeric | None = None,
) -> chex.Array:
    """Measures how far a restored image, degraded again, is from the observation.

        rms(D(x_0, t) - x_T) per image

    Args:
        x_0: restored images, float [B, H, W, C].
        degrade: D, bound to what made x_T.
        x_T: the observation, like x_0.
        t: the step of the observation, integer [] or [B]; T by default.

    Returns:
        float32 [B], in the unit of the images; 0 is perfect.

    Raises:
        ValueError: images of different shapes.
        TypeError: images that are not float.

    Example:
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T).x_0
        >>> data_consistency(x_0, degrade, x_T)
    """
    difference = _unexplained(x_0, degrade, x_T, t)
    return jnp.sqrt(jnp.mean(difference**2, axis=(1, 2, 3)))


def project_onto_data(
    x_0: chex.Array,
    degrade: Linear,
    x_T: chex.Array,
    *,
    t: chex.Numeric | None = None,
    cutoff: float = 1e-3,
) -> chex.Array:
    """Finds the image nearest to a restored one that explains the observation exactly.

        x_0 + D^+ (x_T - D(x_0, t)),    so that    D(result, t) = x_T

    where D^+ is the pseudo-inverse of the linear part of D(., t). What D loses is left
    as it was restored; what it keeps is taken from the observation. Gaussian and heat
    blur, pixelation, masks, fading, loss of colour and blends with a known endpoint
    have one in closed form. Algorithm 2 needs none where D(D(x, s), T) = D(x, T).

    Args:
        x_0: restored images, float [B, H, W, C].
        degrade: D, linear or affine in x, bound to what made x_T.
        x_T: the observation, like x_0.
        t: the step of the observation, integer [] or [B]; T by default.
        cutoff: singular values of D(., t) that are no larger count as zero: what they
            carry is left as it was restored. Errors of the observation are multiplied
            by up to 1 / cutoff; for a photograph of 8 bits 0.05 is a good start.

    Returns:
        Images like x_0.

    Raises:
        ValueError: images of different shapes, a cutoff that is not positive, a t
            outside 0..T, or a degradation that is not bound yet.
        TypeError: images that are not float, or a degradation without such an inverse.

    Example:
        >>> x_0 = sample_alg2(restore_fn, blur, x_T).x_0
        >>> x_0 = project_onto_data(x_0, blur, x_T)

    Reference:
        Wang et al. (2023), "DDNM", arXiv:2212.00490, equation 8, applied once, at the
        end.
    """
    if not isinstance(degrade, Linear):
        raise TypeError(
            "a projection needs a degradation with a pseudo_inverse (Gaussian and heat "
            "blur, pixelation, masks, fading, loss of colour, blends), got "
            f"{type(degrade).__name__}"
        )
    if not isinstance(cutoff, jax.core.Tracer) and not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff}")
    x_0 = check_images(x_0)
    difference = _unexplained(x_0, degrade, x_T, t)
    step = degrade.num_steps if t is None else t
    change = degrade.pseudo_inverse(-difference, step, cutoff=cutoff)
    return (x_0 + change).astype(x_0.dtype)


def _unexplained(
    x_0: chex.Array, degrade: Degradation, x_T: chex.Array, t: chex.Numeric | None
) -> chex.Array:
    """D(x_0, t) - x_T in float32."""
    x_0, x_T = check_images(x_0), check_images(x_T)
    if x_0.shape != x_T.shape:
        raise ValueError(
            f"x_0 and x_T must have one shape, got {x_0.shape} and {x_T.shape}"
        )
    # In full precision: a projection divides what is left by small numbers.
    again = degrade(x_0.astype(jnp.float32), last_step(degrade) if t is None else t)
    return again - x_T.astype(jnp.float32)
