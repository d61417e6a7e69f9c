"""Blur and Gaussian noise together: one gain per frequency."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.blur import dct_matrix, heat_gains
from colddiff_jax.degradations.separable import distinct_sides, precise_einsum


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class BlurAndNoise:
    """Blur that fades into noise, x_t = V (alpha_t V^T x) + sigma_t z.

    Made by `blur_and_noise`. Its endpoint is the noise z.

    Attributes:
        bases: V^T of rows and columns, orthonormal cosines, float32 [H, H] and [W, W];
            just one for square images, whose axes share it.
        gains: exp(-Lambda tau_t) of rows and columns, float32 [T + 1, H] and
            [T + 1, W], or one table likewise.
        image_weights: a, float32 [T + 1]; a_0 = 1.
        stds: sigma, float32 [T + 1]; sigma_0 = 0.
        min_gain: d_min, float32 [T + 1], what a blur leaves of every mode; 1 at t = 0.
        num_steps: T.
        endpoint: z, float [B, H, W, C]; None until it is drawn or given.

    Example:
        >>> degrade = blur_and_noise((24, 32), [1.0, 2.0], [0.9, 0.1])
        >>> degrade.levels(2)[0].shape
        (1, 24, 32, 1)
    """

    bases: tuple[chex.Array, ...]
    gains: tuple[chex.Array, ...]
    image_weights: chex.Array
    stds: chex.Array
    min_gain: chex.Array
    num_steps: int = dataclasses.field(metadata={"static": True})
    endpoint: chex.Array | None = None

    def __repr__(self) -> str:
        return base.describe("blur_and_noise", self.num_steps, self._image_size())

    @property
    def endpoint_kind(self) -> base.EndpointKind:
        """The kind of endpoint, "noise"."""
        return "noise"

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one z per example, which replaces a given one."""
        keys = prng.keys_per_example(key, shape[0])
        z = prng.draw_normal(keys, shape[1:])
        return dataclasses.replace(self, endpoint=z)

    def with_endpoint(self, z: chex.Array) -> Self:
        """Returns this degradation with the noise z, float [B, H, W, C].

        Axes of length one broadcast.

        Raises:
            TypeError: z is not floating point.
            ValueError: z is not a batch of images.
        """
        return dataclasses.replace(self, endpoint=checks.check_images(z))

    def estimate_endpoint(
        self, x_t: chex.Array, x0_hat: chex.Array, t: chex.Numeric
    ) -> chex.Array:
        """Solves x_t = V (alpha_t V^T x0_hat) + sigma_t z for the noise z.

        Where sigma_t = 0, x_t does not depend on z, and the result is 0.

        Args:
            x_t: degraded images, float [B, H, W, C].
            x0_hat: predictions of the clean images, like x_t.
            t: the step of x_t, integer [] or [B], in 0..T.

        Returns:
            z, float32 [B, H, W, C].
        """
        x_t, t = base.check_call(x_t, t, self.num_steps, self._image_size())
        std = base.per_example(self.stds[t], x_t)
        return base.divide(x_t.astype(jnp.float32) - self._mean(x0_hat, t), std, 0.0)

    def levels(self, t: chex.Numeric) -> tuple[chex.Array, chex.Array]:
        """Returns alpha_t, float32 [1 or B, H, W, 1], and sigma_t, like t."""
        t = jnp.asarray(t)
        rows, columns = self.gains[0], self.gains[-1]
        steps = jnp.atleast_1d(t)
        blur = rows[steps][:, :, None, None] * columns[steps][:, None, :, None]
        least = base.per_example(self.min_gain[steps], blur)
        weight = base.per_example(self.image_weights[steps], blur)
        return weight * (least + (1 - least) * blur), self.stds[t]

    def to_modes(self, x: chex.Array) -> chex.Array:
        """Returns V^T x, float32 [B, H, W, C], the cosine transform of images."""
        rows, columns = self.bases[0], self.bases[-1]
        modes = precise_einsum("nh,...hwc->...nwc", rows, x.astype(jnp.float32))
        return precise_einsum("mw,...nwc->...nmc", columns, modes)

    def from_modes(self, modes: chex.Array) -> chex.Array:
        """Returns V u, the images whose cosine transform is u."""
        rows, columns = self.bases[0], self.bases[-1]
        x = precise_einsum("nh,...nmc->...hmc", rows, modes)
        return precise_einsum("mw,...hmc->...hwc", columns, x)

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: there is no noise yet, or for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps, self._image_size())
        z = base.check_bound(self.endpoint, x, "noise")
        std = base.per_example(self.stds[t], x)
        return base.keep_clean(x, self._mean(x, t) + std * z, t)

    def _mean(self, x: chex.Array, t: chex.Array) -> chex.Array:
        return self.from_modes(self.levels(t)[0] * self.to_modes(x))

    def _image_size(self) -> tuple[int, int]:
        return len(self.bases[0]), len(self.bases[-1])


def blur_and_noise(
    image_size: int | Sequence[int],
    blur_sigmas: Sequence[float] | np.ndarray,
    alphas_cumprod: Sequence[float] | np.ndarray,
    *,
    min_gain: float = 0.001,
) -> BlurAndNoise:
    """Makes the degradation of blurring diffusion models.

        D(x, t) = V (alpha_t V^T x) + sigma_t z,    z ~ N(0, 1)
        alpha_t = sqrt(alphas_cumprod_t) ((1 - d) exp(-Lambda w_t^2 / 2) + d)
        sigma_t = sqrt(1 - alphas_cumprod_t)

    where V^T is the cosine transform and Lambda the squared frequency, as in
    `heat_blur`: images fade into noise as in `gaussian_noise`, and their high
    frequencies before the low ones. `sample_ddim` with eta = 1 draws from the posterior
    of every frequency.

    Args:
        image_size: side of the images in pixels, or (height, width).
        blur_sigmas: w, total widths of the blur in pixels, whatever the image's size,
            one per step, non-decreasing.
        alphas_cumprod: the image's fraction of the variance, in [0, 1], one value per
            step, non-increasing.
        min_gain: d, what the blur leaves of every frequency, in [0, 1].

    Returns:
        A degradation with T = len(blur_sigmas) that must be bound before it is called;
        `bind` draws z once for all t.

    Raises:
        ValueError: a width that is not positive, an alphas_cumprod or a min_gain
            outside [0, 1], values in the wrong order, or of two lengths.

    Example:
        >>> sigmas = schedules.geometric(200, start=0.1, stop=20.0)
        >>> degrade = blur_and_noise(32, sigmas, schedules.cosine(200))
        >>> x = jnp.zeros((2, 32, 32, 1))
        >>> x_T = degrade.bind(jax.random.key(0), x.shape)(x, t=200)

    Reference:
        Hoogeboom and Salimans (2022), "Blurring diffusion models", arXiv:2209.05557,
        section 4, with d = 0.001 and w_t = 20 sin^2(pi t / (2 T)). There the network
        predicts the noise.
    """
    size = checks.check_image_size(image_size)
    sigmas = checks.check_schedule(
        "blur_sigmas", blur_sigmas, "positive", lambda v: v > 0, order="rising"
    )
    values = checks.check_schedule(
        "alphas_cumprod",
        alphas_cumprod,
        "in [0, 1]",
        lambda v: (v >= 0) & (v <= 1),
        order="falling",
    )
    if len(sigmas) != len(values):
        raise ValueError(
            "blur_sigmas and alphas_cumprod must both have one value per step, got "
            f"{len(sigmas)} and {len(values)}"
        )
    least = checks.check_number(
        "min_gain", min_gain, "lie in 0..1", lambda value: 0 <= value <= 1
    )
    sides, T = distinct_sides(size), len(sigmas)

    def from_zero(first: float, table: np.ndarray) -> chex.Array:
        start = np.full((1, *table.shape[1:]), first)
        return jnp.asarray(np.concatenate([start, table]), jnp.float32)

    return BlurAndNoise(
        bases=tuple(jnp.asarray(dct_matrix(side), jnp.float32) for side in sides),
        gains=tuple(from_zero(1.0, heat_gains(side, sigmas)) for side in sides),
        image_weights=from_zero(1.0, np.sqrt(values)),
        stds=from_zero(0.0, np.sqrt(1 - values)),
        min_gain=from_zero(1.0, np.full(T, least)),
        num_steps=T,
    )
