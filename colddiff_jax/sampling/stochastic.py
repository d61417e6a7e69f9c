"""Stochastic samplers, which add noise at every step."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images, check_schedule
from colddiff_jax.degradations.base import (
    Degradation,
    WithModes,
    WithNoise,
    endpoint_kind,
    num_steps_of,
)
from colddiff_jax.prng import draw_normal_at, keys_per_example
from colddiff_jax.sampling.timesteps import Restart
from colddiff_jax.sampling.trajectory import (
    RestoreFn,
    SampleResult,
    Step,
    StepInput,
    scan_trajectory,
)


def sample_ddim(
    restore_fn: RestoreFn,
    degrade: WithNoise,
    x_T: chex.Array,
    *,
    key: chex.PRNGKey,
    eta: float = 0.0,
    redraw: bool = False,
    timesteps: Sequence[int] | np.ndarray | int | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "estimated",
    last_step: Literal["full", "direct"] = "full",
    restart: Restart | None = None,
    check_finite: bool = False,
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Restores degraded images with noise, from deterministic to ancestral sampling.

        x0_hat = R(x_t, t),    z_hat = (x_t - D(x0_hat, t)) / sigma_t
        rho^2  = eta^2 (1 - (alpha_t sigma_s / (alpha_s sigma_t))^2)
        x_s    = D(x0_hat, s) + sigma_s (sqrt(1 - rho^2) z_hat + rho e),   e ~ N(0, 1)

    where D is the degradation without its noise, alpha_t its gain and sigma_t the
    standard deviation of the noise. That is Algorithm 1 with an estimated endpoint,
    part of which is drawn anew. eta = 0 is deterministic (DDIM, Algorithms 1 and 2 with
    endpoint="estimated"); eta = 1 draws from the posterior of x_s given x_t and x0_hat:
    ancestral sampling (DDPM). Nothing is divided by alpha, which may be 0 at T. If
    alpha_t is one number per frequency (`blur_and_noise`), so is rho.

    A restart adds noise, x_high = D(x0_hat, high) + sigma_high (k z_hat + sqrt(1 - k^2)
    e) with k = alpha_high sigma_low / (alpha_low sigma_high). For a blend, that is
    alpha_high / alpha_low x_low + c e, and does not depend on the prediction.

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: a degradation with noise (`gaussian_noise`, `blur_and_noise`,
            `noisy`), or a blend with images (`animorph`); its own endpoint is not used.
        x_T: degraded images, float [B, H, W, C].
        key: draws e; one key for the batch or one per example, [B]. The result is a
            pure function of it.
        eta: fraction of the noise that is drawn anew, in [0, 1].
        redraw: whether that is a fraction of all noise, rho = eta: x_s = D(x0_hat, s) +
            sigma_s e for eta = 1, Algorithm 1 with a new endpoint at every step.
        timesteps: which steps to visit; this and all further arguments are as in
            `sample_alg2`.
        start: the step of x_T.
        endpoint: only "estimated"; it is solved for at every step.
        last_step: how to end.
        restart: which steps to repeat.
        check_finite: whether to check for NaN and infinity.
        return_trajectory: whether to return the x_t.
        trajectory_every: which x_t to return.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: an eta outside [0, 1], a fixed endpoint, or as in `sample_alg2`.
        TypeError: a degradation that does not blend with noise or images, or as in
            `sample_alg2`.

    Example:
        >>> degrade = gaussian_noise(schedules.cosine(200))
        >>> x_0 = sample_ddim(restore_fn, degrade, x_T, key=key, eta=1.0).x_0

    Reference:
        Song et al. (2021), arXiv:2010.02502, equations 12 and 16; with `redraw`, Choi
        et al. (2023), arXiv:2303.05456; with `restart` and eta = 0, Xu et al. (2023),
        arXiv:2306.14878. With another D, the same posterior: Luo et al. (2023); one for
        every frequency, Hoogeboom and Salimans (2022), arXiv:2209.05557, equations 14
        and 15.
    """
    if endpoint_kind(degrade) not in ("noise", "image"):
        raise TypeError(
            "sample_ddim needs gaussian_noise, noisy or animorph, got "
            f"{type(degrade).__name__}"
        )
    if endpoint != "estimated":
        raise ValueError(
            "sample_ddim estimates the endpoint at every step; omit endpoint or pass "
            f'"estimated", got {endpoint!r}'
        )
    if not isinstance(eta, jax.core.Tracer) and not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    keys = keys_per_example(key, len(check_images(x_T)))

    step, step_back = _posterior_steps(
        degrade.with_endpoint(jnp.zeros((1, 1, 1, 1))),
        degrade.levels,
        eta,
        keys,
        modes=degrade if isinstance(degrade, WithModes) else None,
        redraw=redraw,
    )

    return scan_trajectory(
        step,
        restore_fn,
        degrade,
        x_T,
        (),
        step_back,
        timesteps=timesteps,
        start=start,
        endpoint="fixed",  # It is estimated in the step itself.
        last_step=last_step,
        restart=restart,
        check_finite=check_finite,
        return_trajectory=return_trajectory,
        trajectory_every=trajectory_every,
    )


def sample_momentum(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    key: chex.PRNGKey,
    noise_stds: Sequence[float] | np.ndarray,
    timesteps: Sequence[int] | np.ndarray | int | None = None,
    start: int | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
    restart: Restart | None = None,
    check_finite: bool = False,
    return_trajectory: bool = False,
    trajectory_every: int = 1,
) -> SampleResult:
    """Restores degraded and noisy images, x_t = D(x, t) + sigma_t n.

        x0_hat = R(x_t, t)
        x_s    = x_t - D(x0_hat, t) + D(x0_hat, s)
                 + (1 - q) (D(x0_hat, t) - x_t) + sigma_s sqrt(1 - q) e
        q      = sigma_s^2 / sigma_t^2,    e ~ N(0, 1)

    With sigma = 0 this is Algorithm 2. With a perfect restorer every x_s is D(x, s)
    plus noise of standard deviation exactly sigma_s.

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D, without the noise.
        x_T: degraded and noisy images.
        key: draws e; one key for the batch or one per example, [B]. The result is a
            pure function of it.
        noise_stds: sigma, one value per step 1..T, non-decreasing; sigma_0 = 0.
        timesteps: which steps to visit; this and all further arguments are as in
            `sample_alg2`.
        start: the step of x_T.
        endpoint: whether to estimate the endpoint of a blend.
        last_step: how to end.
        restart: which steps to repeat.
        check_finite: whether to check for NaN and infinity.
        return_trajectory: whether to return the x_t.
        trajectory_every: which x_t to return.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: noise_stds that are negative, decrease or are not one per step, or
            as in `sample_alg2`.
        TypeError: as in `sample_alg2`.

    Example:
        >>> stds = schedules.geometric(blur.num_steps, start=0.01, stop=0.5)
        >>> x_0 = sample_momentum(restore_fn, blur, x_T, key=key, noise_stds=stds).x_0

    Reference:
        Daras et al. (2022), "Soft Diffusion", arXiv:2209.05442, the momentum sampler.
        There the new noise has standard deviation sqrt(sigma_t^2 - sigma_s^2), which
        leaves more than sigma_s if the steps are long; here it has the standard
        deviation of the posterior, as in ancestral sampling.
    """
    if not isinstance(noise_stds, jax.core.Tracer):
        noise_stds = check_schedule(
            "noise_stds", noise_stds, "non-negative", lambda v: v >= 0, order="rising"
        )
    if len(noise_stds) != (T := num_steps_of(degrade)):
        raise ValueError(
            f"noise_stds must have one value per step, T = {T}, got {len(noise_stds)}"
        )
    stds = jnp.concatenate([jnp.zeros(1), jnp.asarray(noise_stds, jnp.float32)])
    keys = keys_per_example(key, len(check_images(x_T)))

    def levels(t: chex.Array) -> tuple[chex.Array, chex.Array]:
        return jnp.ones(()), stds[t]

    step, step_back = _posterior_steps(None, levels, 1.0, keys)

    return scan_trajectory(
        step,
        restore_fn,
        degrade,
        x_T,
        (),
        step_back,
        timesteps=timesteps,
        start=start,
        endpoint=endpoint,
        last_step=last_step,
        restart=restart,
        check_finite=check_finite,
        return_trajectory=return_trajectory,
        trajectory_every=trajectory_every,
    )


def _posterior_steps(
    clean: Degradation | None,
    levels: Callable[[chex.Array], tuple[chex.Array, chex.Array]],
    eta: chex.Numeric,
    keys: chex.PRNGKey,
    modes: WithModes | None = None,
    redraw: bool = False,
) -> tuple[Step, Callable[[StepInput], chex.Array]]:
    """Returns the step down and the step up of samplers that draw noise.

    Args:
        clean: D without its noise; None for that of the walk.
        levels: (alpha_t, sigma_t) of a step.
        eta: the fraction of the noise that is drawn anew.
        keys: one per image, [B].
        modes: the basis in which alpha_t is a diagonal; None for a number. White noise
            is white in any orthonormal basis.
        redraw: whether no noise that was found needs to be kept.
    """

    def to_modes(x: chex.Array) -> chex.Array:
        return x if modes is None else modes.to_modes(x)

    def from_modes(u: chex.Array) -> chex.Array:
        return u if modes is None else modes.from_modes(u)

    def step(inputs: StepInput, state: Any) -> tuple[chex.Array, Any]:
        D = inputs.degrade if clean is None else clean
        _, x_t, x0_hat, t, s, index = inputs
        (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(t), levels(s)
        # Without noise, x_t - D(x0_hat, t) is the restorer's error, as in Algorithm 2.
        kept = _ratio(sigma_s, sigma_t, 1.0)
        share = 0.0 if redraw else _ratio(alpha_t, alpha_s, 1.0) * kept
        rho = eta * _sqrt(1 - share**2)
        # sqrt(1 - rho^2), which would round off a small share.
        found = _sqrt(1 - eta**2 + (eta * share) ** 2)
        rest = kept * found * to_modes(x_t - D(x0_hat, t))
        e = draw_normal_at(keys, index, x_t.shape[1:])
        return D(x0_hat, s) + from_modes(rest + sigma_s * rho * e), state

    def step_back(inputs: StepInput) -> chex.Array:
        D = inputs.degrade if clean is None else clean
        _, x_t, x0_hat, t, s, index = inputs
        (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(t), levels(s)
        scale = _ratio(alpha_s, alpha_t, 0.0)
        std = _sqrt(sigma_s**2 - (scale * sigma_t) ** 2)
        rest = scale * to_modes(x_t - D(x0_hat, t))
        e = draw_normal_at(keys, index, x_t.shape[1:])
        return D(x0_hat, s) + from_modes(rest + std * e)

    return step, step_back


def _ratio(a: chex.Array, b: chex.Array, otherwise: float) -> chex.Array:
    """Returns a / b, or `otherwise` where b is 0, with finite gradients."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), otherwise)


def _sqrt(x: chex.Array) -> chex.Array:
    """Returns sqrt(x), or 0 where x is not positive, with finite gradients."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)
