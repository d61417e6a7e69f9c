"""Samplers that add noise on the way."""

from collections.abc import Sequence
from typing import Any, Unpack

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import (
    Degradation,
    check_images,
    check_schedule,
    example_keys,
    last_step,
)
from colddiff_jax.degradations.blend import Blend
from colddiff_jax.sampling.walk import (
    Place,
    RestoreFn,
    SampleResult,
    WalkOptions,
    walk,
)


def sample_ddim(
    key: chex.PRNGKey,
    restore_fn: RestoreFn,
    degrade: Blend,
    x_T: chex.Array,
    *,
    eta: float = 0.0,
    **options: Unpack[WalkOptions],
) -> SampleResult:
    """Restores x_T of `gaussian_noise` by DDIM, from deterministic to ancestral.

        x0_hat = R(x_t, t),    z_hat = (x_t - a_t x0_hat) / b_t
        z      = sqrt(1 - rho^2) z_hat + rho e,    e ~ N(0, 1)
        rho    = eta sqrt(1 - a_t^2 / a_s^2) / b_t
        x_s    = a_s x0_hat + b_s z

    Algorithm 1 with an estimated endpoint, part of which is drawn anew: eta = 0 is
    Algorithms 1 and 2 with endpoint="estimated", eta = 1 is ancestral sampling (DDPM).
    A restart adds noise of its own, x_high = a_high / a_low x_low + c e with c such
    that x_high has the noise of its step; the prediction at x_low is not used then.

    Args:
        key: for e, one for the batch or one per example, [B]; the result is a pure
            function of it.
        restore_fn: R, as in `sample_alg2`.
        degrade: a blend with noise, a_t and b_t; its own endpoint is not used.
        x_T: degraded images, float [B, H, W, C].
        eta: share of the noise that is drawn anew, in [0, 1].
        **options: as in `sample_alg2`, but the endpoint is estimated at every step.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: an eta outside [0, 1], a fixed endpoint, or as in `sample_alg2`.
        TypeError: a degradation that is no blend with noise, or as in `sample_alg2`.

    Example:
        >>> degrade = gaussian_noise(schedules.cosine(200))
        >>> x_0 = sample_ddim(key, restore_fn, degrade, x_T, eta=1.0).x_0

    Reference:
        Song et al. (2021), arXiv:2010.02502, equations 12 and 16; with `restart` and
        eta = 0, Xu et al. (2023), arXiv:2306.14878.
    """
    if not isinstance(degrade, Blend) or degrade.image_weights.ndim != 1:
        raise TypeError(
            "sample_ddim needs gaussian_noise or animorph, got "
            f"{type(degrade).__name__}"
        )
    if options.pop("endpoint", "estimated") != "estimated":
        raise ValueError(
            "sample_ddim estimates the endpoint at every step; leave endpoint out"
        )
    if not isinstance(eta, jax.core.Tracer) and not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    keys = example_keys(key, len(check_images(x_T)))

    def step(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        _, x_t, x0_hat, t, s, number = place
        z_hat = degrade.estimate_endpoint(x_t, x0_hat, t)
        a_t, a_s = degrade.image_weights[t], degrade.image_weights[s]
        b_t = degrade.endpoint_weights[t]
        # Without an image, a_s = a_t = 0, or without noise nothing is drawn anew.
        rho = eta * _ratio(_sqrt(1 - _ratio(a_t, a_s, 1.0) ** 2), b_t, 0.0)
        rho = jnp.minimum(rho, 1.0)
        fresh = _normal(keys, number, x_t)
        z = _sqrt(1 - rho**2) * z_hat + rho * fresh
        return degrade.with_endpoint(z)(x0_hat, s), memory

    def rise(place: Place) -> chex.Array:
        _, x_t, _, t, s, number = place
        scale = _ratio(degrade.image_weights[s], degrade.image_weights[t], 0.0)
        b_t, b_s = degrade.endpoint_weights[t], degrade.endpoint_weights[s]
        std = _sqrt(b_s**2 - (scale * b_t) ** 2)
        fresh = _normal(keys, number, x_t)
        return scale * x_t + std * fresh

    return walk(step, restore_fn, degrade, x_T, (), rise, **options)


def sample_momentum(
    key: chex.PRNGKey,
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    noise_stds: Sequence[float] | np.ndarray,
    **options: Unpack[WalkOptions],
) -> SampleResult:
    """Restores x_T that is degraded and noisy, x_t = D(x, t) + sigma_t n.

        x0_hat = R(x_t, t)
        x_s    = x_t - D(x0_hat, t) + D(x0_hat, s)
                 + (1 - q) (D(x0_hat, t) - x_t) + sigma_s sqrt(1 - q) e
        q      = sigma_s^2 / sigma_t^2,    e ~ N(0, 1)

    With sigma = 0 this is Algorithm 2. With a perfect restorer every x_s is D(x, s)
    with noise of exactly sigma_s.

    Args:
        key: for e, one for the batch or one per example, [B]; the result is a pure
            function of it.
        restore_fn: R, as in `sample_alg2`.
        degrade: D, without the noise.
        x_T: degraded and noisy images.
        noise_stds: sigma, one value per step 1..T, never shrinking; sigma_0 = 0.
        **options: as in `sample_alg2`.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: noise that is negative, shrinks or has another number of steps, or
            as in `sample_alg2`.
        TypeError: as in `sample_alg2`.

    Example:
        >>> stds = schedules.geometric(200, start=0.01, stop=0.5)
        >>> x_0 = sample_momentum(key, restore_fn, blur, x_T, noise_stds=stds).x_0

    Reference:
        Daras et al. (2022), "Soft Diffusion", arXiv:2209.05442, the momentum sampler.
        There the new noise has standard deviation sqrt(sigma_t^2 - sigma_s^2), which
        leaves more than sigma_s where the steps are long; here it is that of the
        posterior, as in ancestral sampling.
    """
    if not isinstance(noise_stds, jax.core.Tracer):
        noise_stds = check_schedule(
            "noise_stds", noise_stds, "from 0 up", lambda v: v >= 0, order="rising"
        )
    if len(noise_stds) != (T := last_step(degrade)):
        raise ValueError(
            f"noise_stds must have one value per step, T = {T}, got {len(noise_stds)}"
        )
    stds = jnp.concatenate([jnp.zeros(1), jnp.asarray(noise_stds, jnp.float32)])
    keys = example_keys(key, len(check_images(x_T)))

    def step(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, number = place
        known = D(x0_hat, t)
        share = 1 - _ratio(stds[s], stds[t], 1.0) ** 2  # Without noise: Algorithm 2.
        fresh = _normal(keys, number, x_t)
        x_s = x_t - known + D(x0_hat, s) + share * (known - x_t)
        return x_s + stds[s] * _sqrt(share) * fresh, memory

    def rise(place: Place) -> chex.Array:
        D, x_t, x0_hat, _, s, number = place
        fresh = _normal(keys, number, x_t)
        return D(x0_hat, s) + stds[s] * fresh

    return walk(step, restore_fn, degrade, x_T, (), rise, **options)


def _normal(keys: chex.PRNGKey, number: chex.Array, x: chex.Array) -> chex.Array:
    """N(0, 1) like x [B, ...], from the keys [B] of the images, anew at every step."""

    def draw(key: chex.PRNGKey) -> chex.Array:
        return jax.random.normal(jax.random.fold_in(key, number), x.shape[1:])

    return jax.vmap(draw)(keys)


def _ratio(a: chex.Array, b: chex.Array, otherwise: float) -> chex.Array:
    """Returns a / b, or a given value where b is 0, with gradients that are finite."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), otherwise)


def _sqrt(x: chex.Array) -> chex.Array:
    """The root of x, 0 where x is not positive, with gradients that are finite."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)
