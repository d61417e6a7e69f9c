"""Scales of a network's input and output, measured on data, one set for every t."""

from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import Degradation, per_example

# One level of an 8-bit image: what varies by less is not in the images people restore.
_LEAST = 2 / 255


class Scales(NamedTuple):
    """What `measure_scales` found, t = 1 ... T.

    Attributes:
        input: s, the root mean square of x_t around the mean of its own image.
        skip: c, the multiple of x_t that comes closest to x_0.
        output: r, the root mean square of x_0 - c x_t.
    """

    input: tuple[float, ...]
    skip: tuple[float, ...]
    output: tuple[float, ...]


class Preconditioned(nn.Module):
    """A restorer whose network F sees and predicts values of unit size at every t.

        R(x_t, t) = c_t x_t + r_t F((x_t - m) / s_t + m, t),   m = mean of x_t

    m is a number per image and channel. Near t = T a blurred image varies by a
    hundredth of its range, which a plain network learns to see slowly; and near t = 1
    the network has almost nothing to add to x_t.

    Attributes:
        network: F; takes x, t and whatever else is passed.
        scales: s, c and r, from `measure_scales`.

    Example:
        >>> scales = measure_scales(degrade, x_0)
        >>> model = Preconditioned(UNet(num_groups=8), scales)

    Reference:
        Karras et al. (2022), arXiv:2206.00364, section 5, for Gaussian noise. There the
        scales follow from the noise; for other degradations they are measured. Not in
        Bansal et al. (2022).
    """

    network: nn.Module
    scales: Scales

    @property
    def num_classes(self) -> int:
        """Classes of images that the network tells apart."""
        return self.network.num_classes

    def __call__(self, x: chex.Array, t: chex.Array, **options: Any) -> chex.Array:
        """Predicts the clean images; arguments and result are those of the network."""
        scale, skip, output = (
            per_example(jnp.asarray(values, jnp.float32)[t - 1], x)
            for values in self.scales
        )
        mean = x.mean(axis=(1, 2), keepdims=True)
        return skip * x + output * self.network((x - mean) / scale + mean, t, **options)


def measure_scales(
    degrade: Degradation, x_0: chex.Array, *, noise: float = 0.0
) -> Scales:
    """Measures the scales of a degradation on images.

        s_t^2 = E (x_t - m)^2
        c_t   = E x_0 x_t / E x_t^2
        r_t^2 = E (x_0 - c_t x_t)^2

    Args:
        degrade: D, bound if it is random.
        x_0: clean images, float [B, H, W, C], in [-1, 1]; some hundred will do.
        noise: standard deviation of noise that is added to x_t in training.

    Returns:
        T values of each. s and r are at least one level of an 8-bit image.
    """

    def moments(t: chex.Array) -> tuple[chex.Array, chex.Array, chex.Array]:
        x_t = degrade(x_0, t)
        around_mean = x_t - x_t.mean(axis=(1, 2), keepdims=True)
        power = jnp.square(x_t).mean() + noise**2
        # Where D(x, T) is mid-grey, 0, any multiple will do.
        skip = jnp.where(power > 0, (x_0 * x_t).mean() / power, 0.0)
        rest = jnp.square(x_0 - skip * x_t).mean() + jnp.square(skip * noise)
        return jnp.sqrt(jnp.square(around_mean).mean() + noise**2), skip, jnp.sqrt(rest)

    steps = jnp.arange(1, degrade.num_steps + 1)
    found = jax.jit(lambda steps: jax.lax.map(moments, steps))(steps)
    scale, skip, output = (np.asarray(values, np.float64) for values in found)
    return Scales(
        input=tuple(np.maximum(scale, _LEAST).tolist()),
        skip=tuple(skip.tolist()),
        output=tuple(np.maximum(output, _LEAST).tolist()),
    )
