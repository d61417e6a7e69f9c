"""Consistency of restored images with the observation: measuring and enforcing it."""

import dataclasses
from typing import TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images
from colddiff_jax.degradations.base import Degradation, Linear, num_steps_of
from colddiff_jax.degradations.blur import HeatBlur
from colddiff_jax.degradations.hole_masks import Holes
from colddiff_jax.degradations.separable import Separable
from colddiff_jax.reprs import short_repr
from colddiff_jax.sampling.trajectory import RestoreFn

AnyDegradation = TypeVar("AnyDegradation", bound=Degradation)

FLOAT_NOISE = 1e-5
"""The noise of images that were degraded in float32 and not rounded."""
EIGHT_BITS = 2 / 255 / 12**0.5
"""The noise of images that were rounded to 256 values."""


def data_consistency(
    x_0: chex.Array,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    t: chex.Numeric | None = None,
) -> chex.Array:
    """Measures the distance of a restored image, degraded again, to the observation.

        rms(D(x_0, t) - x_T) per image

    Args:
        x_0: restored images, float [B, H, W, C].
        degrade: D, the bound degradation that produced x_T.
        x_T: the observation, like x_0.
        t: the step of the observation, integer [] or [B]; T by default.

    Returns:
        float32 [B], in image units; 0 is perfect.

    Raises:
        ValueError: images of different shapes.
        TypeError: images that are not float.

    Example:
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T).x_0
        >>> data_consistency(x_0, degrade, x_T)
    """
    difference = _residual(x_0, degrade, x_T, t)
    return jnp.sqrt(jnp.mean(difference**2, axis=(1, 2, 3)))


def project_onto_data(
    x_0: chex.Array,
    degrade: Linear,
    x_T: chex.Array,
    *,
    t: chex.Numeric | None = None,
    cutoff: float = 1e-3,
) -> chex.Array:
    """Projects restored images onto those that match the observation exactly.

        x_0 + D^+ (x_T - D(x_0, t)),    so that    D(result, t) = x_T

    where D^+ is the pseudo-inverse of the linear part of D(., t). The result is the
    nearest such image: components that D keeps come from the observation, components
    that it loses stay as restored. D^+ is known in closed form for Gaussian and heat
    blur, pixelation, masks, fading, desaturation and blends with a known endpoint.
    Algorithm 2 needs no projection where D(D(x, s), T) = D(x, T).

    Args:
        x_0: restored images, float [B, H, W, C].
        degrade: D, linear or affine in x, the bound degradation that produced x_T.
        x_T: the observation, like x_0.
        t: the step of the observation, integer [] or [B]; T by default.
        cutoff: singular values of D(., t) up to this one count as zero, and their
            components stay as restored. Errors in the observation are amplified by up
            to 1 / cutoff; for 8-bit photographs 0.05 is a good start.

    Returns:
        Images like x_0.

    Raises:
        ValueError: images of different shapes, a cutoff that is not positive, a t
            outside 0..T, or a degradation that is not bound yet.
        TypeError: images that are not float, or a degradation without a pseudo-inverse.

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
            "blur, pixelation, masks, fading, desaturation, blends), got "
            f"{type(degrade).__name__}"
        )
    if not isinstance(cutoff, jax.core.Tracer) and not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff}")
    x_0 = check_images(x_0)
    difference = _residual(x_0, degrade, x_T, t)
    step = degrade.num_steps if t is None else t
    change = degrade.pseudo_inverse(-difference, step, cutoff=cutoff)
    return (x_0 + change).astype(x_0.dtype)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Consistent:
    """A restorer whose predictions agree with the image they are made from.

    Made by `consistent`.

    Attributes:
        restore_fn: R.
        degrade: D, bound, with the tables of its pseudo-inverse.
        damping: lambda.
        prior_damping: lambda of the Wiener estimate that R takes in place of x_t, one
            number or one per mode of D; None if it takes x_t.

    Example:
        >>> restored = consistent(restore_fn, blur)
        >>> restored(x_T, jnp.full(len(x_T), blur.num_steps)).shape == x_T.shape
        True
    """

    restore_fn: RestoreFn
    degrade: Linear
    damping: chex.Numeric
    prior_damping: chex.Numeric | None = None

    def __repr__(self) -> str:
        return short_repr(self)

    def __call__(self, x_t: chex.Array, t: chex.Array) -> chex.Array:
        """Predicts the clean images; see `RestoreFn`."""
        x0_hat = self.restore_fn(self.given(x_t, t), t)
        return self._corrected(x0_hat, x_t, t, self.damping)

    def given(self, x_t: chex.Array, t: chex.Array) -> chex.Array:
        """Returns what R takes: x_t, or its Wiener estimate of the clean images.

        Where that would be 0, in the holes of `holes`, they are filled smoothly.
        """
        if self.prior_damping is None:
            return x_t
        if isinstance(self.degrade, Holes):
            return self.degrade.filled(x_t, t)
        return self._corrected(jnp.zeros_like(x_t), x_t, t, self.prior_damping)

    def _corrected(
        self, x_0: chex.Array, x_t: chex.Array, t: chex.Array, damping: chex.Numeric
    ) -> chex.Array:
        """Returns x_0 + W_t (x_t - D(x_0, t))."""
        difference = _residual(x_0, self.degrade, x_t, t)
        change = self.degrade.pseudo_inverse(
            -difference, t, cutoff=0.0, damping=damping
        )
        return (x_0 + change).astype(x_t.dtype)


def consistent(
    restore_fn: RestoreFn,
    degrade: Degradation,
    *,
    noise: chex.Numeric = FLOAT_NOISE,
    error: float = 0.1,
    prior_std: chex.Numeric | None = None,
) -> Consistent:
    """Makes a restorer whose predictions agree with what they are made from.

        R'(x_t, t) = x0_hat + W_t (x_t - D(x0_hat, t))
        W_t = (A_t^T A_t + lambda)^-1 A_t^T,    lambda = (noise / error)^2

    where x0_hat = R(x_t, t). Components that x_t determines better than the network
    does come from x_t, and all others from the network: the weight of a component with
    the singular value s is s^2 / (s^2 + lambda), a Wiener filter. Algorithm 2 with an
    inconsistent restorer replaces at every step what the image already said.

    Not in the paper, and it uses the inverse of D.

    Args:
        restore_fn: R.
        degrade: D, linear or affine in x, bound. The tables that its pseudo-inverse
            needs are computed here, once; inside `jit`, compute them before, by
            `degrade.with_factors()`.
        noise: the standard deviation of the noise of x_T, in image units, [] or one per
            image, [B]; `EIGHT_BITS` for images that were rounded to 256 values.
        error: the standard deviation of the error of R, in image units.
        prior_std: give R, in place of x_t, the Wiener estimate W_t (x_t - D(0, t)) for
            images whose components have this standard deviation, lambda = (noise /
            prior_std)^2: what x_t determines is restored already. One number, or one
            per mode of D, [1, H, W, 1]; for `holes`, x_t with its holes filled smoothly
            instead. Only for an R that was trained so, as by `model.consistent_noise`.
            None gives it x_t.

    Returns:
        A restorer for any sampler; a pytree if restore_fn is one.

    Raises:
        TypeError: a degradation without a pseudo-inverse.
        ValueError: a noise or an error that is not positive.

    Example:
        >>> x_0 = sample_alg2(consistent(restore_fn, blur), blur, x_T).x_0

    Reference:
        The projection of DDNM (Wang et al. 2023, arXiv:2212.00490), with a Wiener
        weight in place of the pseudo-inverse, on x_t instead of x_T.
    """
    if not isinstance(degrade, Linear):
        raise TypeError(
            "consistent predictions need a degradation with a pseudo_inverse (Gaussian "
            "and heat blur, pixelation, masks, fading, desaturation, blends), got "
            f"{type(degrade).__name__}"
        )
    for name, value in (("noise", noise), ("error", error), ("prior_std", prior_std)):
        if value is None:
            continue
        if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
            raise ValueError(f"{name} must be positive, got {value}")
    noise = jnp.asarray(noise, jnp.float32)
    noise = noise.reshape(noise.shape + 3 * (1,) * noise.ndim)
    return Consistent(
        restore_fn,
        with_factors(degrade),
        (noise / error) ** 2,
        None if prior_std is None else (noise / prior_std) ** 2,
    )


def trained_consistent(
    restore_fn: RestoreFn, degrade: Degradation, noise: chex.Numeric
) -> Consistent:
    """Makes the consistent restorer of a network that is trained inside it.

    A trained network errs by less than photographs vary: where the noise of x_t,
    amplified, is larger than 0.03, its word counts more.

    Args:
        restore_fn: the network.
        degrade: D, bound.
        noise: as in `consistent`.
    """
    return consistent(
        restore_fn, degrade, noise=noise, error=0.03, prior_std=_prior_std(degrade)
    )


def _prior_std(degrade: Degradation) -> chex.Numeric:
    """Returns the standard deviation of the components of photographs.

    Of a cosine it falls with its frequency f: 0.2 / f for images in [-1, 1].

    Reference:
        Field (1987), "Relations between the statistics of natural images and the
        response properties of cortical cells".
    """
    if not isinstance(degrade, HeatBlur):
        return 0.1
    f = jnp.maximum(degrade.frequencies(), 1e-3)  # The mean has none.
    return (0.2 / f)[None, :, :, None]


def with_factors(degrade: AnyDegradation) -> AnyDegradation:
    """Returns D with the tables of its pseudo-inverse, if it has any."""
    if isinstance(degrade, Separable) and degrade.factors is None:
        return degrade.with_factors()
    return degrade


def _residual(
    x_0: chex.Array, degrade: Degradation, x_T: chex.Array, t: chex.Numeric | None
) -> chex.Array:
    """Returns D(x_0, t) - x_T in float32."""
    x_0, x_T = check_images(x_0), check_images(x_T)
    if x_0.shape != x_T.shape:
        raise ValueError(
            f"x_0 and x_T must have the same shape, got {x_0.shape} and {x_T.shape}"
        )
    # In full precision: a projection divides the residual by small numbers.
    t = num_steps_of(degrade) if t is None else t
    return degrade(x_0.astype(jnp.float32), t) - x_T.astype(jnp.float32)
