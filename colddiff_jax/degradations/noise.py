"""Gaussian noise on top of another degradation."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.blending import Blend


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Noisy:
    """A degradation with noise, x_t = D(x, t) + sigma_t z. Made by `noisy`.

    Its endpoint is the noise z. If D blends with images, they are given by
    `with_images`, or to D before.

    Attributes:
        degradation: D.
        stds: sigma, float32 [T + 1]; sigma_0 = 0.
        gains: alpha, float32 [T + 1]; alpha_0 = 1.
        endpoint: z, float [B, H, W, C]; None until it is drawn or given.

    Example:
        >>> degrade = noisy(fade([0.5]), [0.1]).with_endpoint(jnp.ones((1, 1, 1, 1)))
        >>> round(degrade(jnp.full((1, 1, 1, 1), 0.8), t=1).item(), 4)
        0.5
    """

    degradation: base.Degradation
    stds: chex.Array
    gains: chex.Array
    endpoint: chex.Array | None = None

    def __repr__(self) -> str:
        return f"noisy({self.degradation!r})"

    @property
    def num_steps(self) -> int:
        """T of the degradation without noise."""
        return self.degradation.num_steps

    @property
    def endpoint_kind(self) -> base.EndpointKind:
        """The kind of endpoint, "noise"."""
        return "noise"

    @property
    def takes_images(self) -> bool:
        """Whether D blends with images, which `with_images` gives it."""
        return base.takes_images(self.degradation)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Binds D, and draws one z per example, which replaces a given one."""
        D_keys, noise_keys = prng.split_keys(prng.keys_per_example(key, shape[0]), 2)
        return dataclasses.replace(
            self,
            degradation=self.degradation.bind(D_keys, shape),
            endpoint=prng.draw_normal(noise_keys, shape[1:]),
        )

    def with_endpoint(self, z: chex.Array) -> Self:
        """Returns this degradation with the noise z, float [B, H, W, C].

        Axes of length one broadcast.

        Raises:
            TypeError: z is not floating point.
            ValueError: z is not a batch of images.
        """
        return dataclasses.replace(self, endpoint=checks.check_images(z))

    def with_images(self, y: chex.Array, key: chex.PRNGKey | None = None) -> Self:
        """Returns this degradation with the images y that D blends with.

        Args:
            y: the endpoint of D, float [B, H, W, C] in [-1, 1].
            key: the key of `bind`, one or one per example, [B], that draws the
                `endpoint_noise` of a blend, if there is any.

        Raises:
            TypeError: D does not blend with images, or y is not floating point.
            ValueError: y is not a batch of images.
        """
        if not self.takes_images:
            raise TypeError(
                f"{self!r} does not blend with images; make it with "
                'noisy(blend(..., endpoint="image"), stds)'
            )
        given: Any = self.degradation
        if isinstance(given, Blend) and key is not None:
            # 0 and 1 may give the keys that `bind` has split these into.
            given = given.with_endpoint(y, prng.fold_keys(key, len(y), 2))
        else:
            given = given.with_endpoint(y)
        return dataclasses.replace(self, degradation=given)

    def estimate_endpoint(
        self, x_t: chex.Array, x0_hat: chex.Array, t: chex.Numeric
    ) -> chex.Array:
        """Solves x_t = D(x0_hat, t) + sigma_t z for the noise z.

        Where sigma_t = 0, x_t does not depend on z, and the result is 0.

        Args:
            x_t: degraded images, float [B, H, W, C].
            x0_hat: predictions of the clean images, like x_t.
            t: the step of x_t, integer [] or [B], in 0..T.

        Returns:
            z, float32 [B, H, W, C].
        """
        x_t, t = base.check_call(x_t, t, self.num_steps)
        mean = self.degradation(x0_hat, t).astype(jnp.float32)
        std = base.per_example(self.stds[t], x_t)
        return base.divide(x_t.astype(jnp.float32) - mean, std, 0.0)

    def levels(self, t: chex.Numeric) -> tuple[chex.Array, chex.Array]:
        """Returns alpha_t and sigma_t, like t; see `WithNoise`."""
        return self.gains[t], self.stds[t]

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) + sigma_t z for float images x and integer t [] or [B].

        Raises:
            ValueError: there is no noise yet, or for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps)
        z = base.check_bound(self.endpoint, x, "noise")
        mean = self.degradation(x, t).astype(jnp.float32)
        std = base.per_example(self.stds[t], x)
        return base.keep_clean(x, mean + std * z, t)


def noisy(
    degrade: base.Degradation,
    stds: Sequence[float] | np.ndarray,
    *,
    gains: Sequence[float] | np.ndarray | None = None,
) -> Noisy:
    """Makes a degradation that adds noise to what another one returns.

        D_n(x, t) = D(x, t) + sigma_t z,    z ~ N(0, 1)

    `bind` draws z once for all t. Around a blur, this is the forward process of inverse
    heat dissipation and of Soft Diffusion; around a fade, that of ordinary diffusion
    models; around a blend with images, a diffusion between two images.
    `blur_and_noise` is that of blurring diffusion.

    Args:
        degrade: D.
        stds: sigma, in image units, one per step. sigma / alpha must not decrease.
        gains: alpha, one per step, in [0, 1] and non-increasing. From s to t, the noise
            that x_s has shrinks by alpha_t / alpha_s, while new noise is added; only
            samplers that draw noise anew need to know. None for ones, which is right
            for the mean of a blurred image.

    Returns:
        A degradation with the T of D that must be bound before it is called.

    Raises:
        ValueError: stds that are negative, decrease relative to the gains or are not
            one per step, or gains that are not.
        TypeError: the first argument is not a degradation.

    Example:
        >>> blur = heat_blur(32, schedules.geometric(50, start=0.5, stop=20.0))
        >>> degrade = noisy(blur, 50 * [0.02])
        >>> x = jnp.zeros((2, 32, 32, 1))
        >>> degrade.bind(jax.random.key(0), x.shape)(x, t=50).shape
        (2, 32, 32, 1)

    Reference:
        Rissanen, Heinonen, Solin (2022), arXiv:2206.13397; Daras et al. (2022), "Soft
        Diffusion", arXiv:2209.05442. Around a blend: RDDM, IR-SDE, Resfusion and I2SB,
        in `docs/family.md`.
    """
    base.check_degradation("noisy", degrade)
    T = degrade.num_steps
    sigmas = checks.check_schedule("stds", stds, "non-negative", lambda v: v >= 0)
    alphas = np.ones(T) if gains is None else gains
    alphas = checks.check_schedule(
        "gains", alphas, "in [0, 1]", lambda v: (v >= 0) & (v <= 1), order="falling"
    )
    for name, values in (("stds", sigmas), ("gains", alphas)):
        if len(values) != T:
            raise ValueError(
                f"{name} must have one value per step of the degradation, {T}, got "
                f"{len(values)}"
            )
    _check_order(sigmas, alphas)
    return Noisy(
        degradation=degrade,
        stds=jnp.asarray(np.concatenate([[0.0], sigmas]), jnp.float32),
        gains=jnp.asarray(np.concatenate([[1.0], alphas]), jnp.float32),
    )


def _check_order(sigmas: np.ndarray, alphas: np.ndarray) -> None:
    """Raises a ValueError unless sigma / alpha does not decrease.

    Otherwise x_t would have less noise than what is left of that of x_s.
    """
    # Without division, for alpha may be 0. Rounding must not count.
    left = sigmas[:-1] * alphas[1:]
    wrong = np.flatnonzero(left > sigmas[1:] * alphas[:-1] + 1e-12)
    if wrong.size:
        i = int(wrong[0])
        gains = "" if np.all(alphas == 1) else ", relative to the gains"
        raise ValueError(
            f"stds must not decrease from one step to the next{gains}, got "
            f"stds[{i + 1}] = {sigmas[i + 1]:g} after {sigmas[i]:g}"
        )
