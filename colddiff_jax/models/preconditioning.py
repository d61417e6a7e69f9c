"""Scales of a network's input and output, measured on data for every t."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images
from colddiff_jax.degradations.base import Degradation, per_example
from colddiff_jax.degradations.blending import Blend
from colddiff_jax.degradations.noise import Noisy
from colddiff_jax.degradations.targets import Target, target_images
from colddiff_jax.models.options import check_inputs
from colddiff_jax.reprs import short_repr

_MIN_SCALE = 2 / 255  # One level of an 8-bit image.


class Scales(NamedTuple):
    """Scales for t = 1 ... T, as returned by `measure_scales` or `velocity_scales`.

    Attributes:
        input: s, the root mean square of x_t around the mean of each image, or around 0
            for a local network.
        skip: c, for which c x_t is closest to the target y, such as x_0.
        output: r, the root mean square of y - c x_t.
    """

    input: tuple[float, ...]
    skip: tuple[float, ...]
    output: tuple[float, ...]

    def __repr__(self) -> str:
        return short_repr(self)


def velocity_scales(degrade: Degradation) -> Scales:
    """Returns the scales for which the network predicts a velocity.

        R(x_t, t) = x_t - b_t F(x_t, t),    D(x, t) = (1 - b_t) x + b_t z

    R is x_0 if F is z - x_0. With the squared error and the weights b_t^-2, the loss
    of R is |F - (z - x_0)|^2; Algorithm 2 with an estimated endpoint is Euler's method,
    x_s = x_t + (b_s - b_t) F(x_t, t). In a `noisy` blend with the standard deviation
    s b_t, the noise belongs to the endpoint, and F is y + s e - x_0.

    Args:
        degrade: D, a `blend` whose weights add up to 1, with b_t > 0, or such a blend
            with noise whose standard deviation is a multiple of b_t.

    Returns:
        Scales of 1 for the input and x_t, and -b_t for the output.

    Raises:
        ValueError: another degradation.

    Example:
        >>> weights = schedules.linear_decay(4)
        >>> velocity_scales(cd.blend(weights, 1 - weights)).output
        (-0.25, -0.5, -0.75, -1.0)

    Reference:
        Liu, Gong, Liu (2022), "Flow straight and fast", arXiv:2209.03003, equation 1;
        with noise, Albergo et al. (2023), arXiv:2310.03725.
    """
    blend = degrade.degradation if isinstance(degrade, Noisy) else degrade
    if isinstance(blend, Blend) and blend.image_weights.ndim == 1:
        a, b = (
            np.asarray(weights[1:], np.float64)
            for weights in (blend.image_weights, blend.endpoint_weights)
        )
        stds = np.asarray(degrade.stds[1:]) if isinstance(degrade, Noisy) else 0 * b
        straight = np.allclose(a + b, 1, atol=1e-6) and (b > 0).all()
        if straight and np.allclose(stds * b[-1], stds[-1] * b, atol=1e-6):
            ones = (1.0,) * len(b)
            return Scales(input=ones, skip=ones, output=tuple((-b).tolist()))
    raise ValueError(
        "velocity needs a blend whose weights add up to 1 at every step and whose "
        "endpoint_weights are positive, with noise in proportion to them or none, got "
        f"{degrade!r}"
    )


class Around(nn.Module):
    """A network around another one, whose properties it has.

    Attributes:
        network: the other one.
    """

    network: nn.Module

    @property
    def num_classes(self) -> int:
        """Number of classes of the network, 0 if it is unconditional."""
        return getattr(self.network, "num_classes", 0)

    @property
    def size_multiple(self) -> int | None:
        """The sides of images must be multiples of this number of pixels, if any."""
        return getattr(self.network, "size_multiple", None)

    @property
    def local(self) -> bool:
        """Whether the network is local, and with it this one."""
        return is_local(self.network)


class Preconditioned(Around):
    """Restorer whose network F has inputs and targets of unit scale at every t.

        R(x_t, t) = c_t x_t + r_t F((x_t - m) / s_t + m, t),   m = mean of x_t

    m has one value per image and channel; a local network, whose result must not
    depend on the whole image, has m = 0. Near t = T a blurred image varies by a
    hundredth of its range, which a plain network is slow to pick up; near t = 1 the
    network has almost nothing to add to x_t.

    Attributes:
        network: F; called with x, t and all further keyword arguments.
        scales: s, c and r, from `measure_scales` or `velocity_scales`.

    Example:
        >>> scales = measure_scales(degrade, x_0)
        >>> model = Preconditioned(UNet(num_groups=8), scales)

    Reference:
        Karras et al. (2022), arXiv:2206.00364, section 5, for Gaussian noise. There the
        scales follow from the noise level; for other degradations they are measured.
        Not in Bansal et al. (2022).
    """

    scales: Scales

    def __call__(self, x: chex.Array, t: chex.Array, **options: Any) -> chex.Array:
        """Predicts the target, with the arguments and result of the network."""
        x = check_inputs(x, t)
        scale, skip, output = (
            per_example(jnp.asarray(values, jnp.float32)[t - 1], x)
            for values in self.scales
        )
        mean = 0.0 if self.local else x.mean(axis=(1, 2), keepdims=True)
        return skip * x + output * self.network((x - mean) / scale + mean, t, **options)


def is_local(network: nn.Module) -> bool:
    """Whether each pixel of a network's output depends on its neighbourhood alone."""
    return bool(getattr(network, "local", False))


def measure_scales(
    degrade: Degradation,
    x_0: chex.Array,
    *,
    noise: float = 0.0,
    centered: bool = True,
    observed: Callable[[chex.Array, chex.Array], chex.Array] | None = None,
    target: Target = "clean",
) -> Scales:
    """Measures the scales of a degradation on images.

        s_t^2 = E (x_t - m)^2
        c_t   = E y x_t / E x_t^2
        r_t^2 = E (y - c_t x_t)^2

    Args:
        degrade: D; bound if it is random.
        x_0: clean images, float [B, H, W, C], in [-1, 1]; a few hundred are enough.
        noise: standard deviation of the noise that training adds to x_t.
        centered: whether s is measured around the mean m; False for a local network,
            around 0.
        observed: the function (x_t, t), a pytree, whose result the network takes in
            place of x_t; for consistent restorers.
        target: y, "clean" for x_0, or "previous" for the mean of D(x_0, t - 1), from
            which x_t differs little.

    Returns:
        T values of each scale; s and r are at least one level of an 8-bit image.

    Raises:
        TypeError: images that are not floating point.
        ValueError: images that are empty, not [B, H, W, C], or not finite.
    """
    found = _moments(
        degrade,
        check_images(x_0),
        observed,
        noise=float(noise),
        centered=centered,
        target=target,
    )
    scale, skip, output = (np.asarray(values, np.float64) for values in found)
    if not all(np.isfinite(values).all() for values in (scale, skip, output)):
        raise ValueError("images must be finite, at every step of the degradation")
    return Scales(
        input=tuple(np.maximum(scale, _MIN_SCALE).tolist()),
        skip=tuple(skip.tolist()),
        output=tuple(np.maximum(output, _MIN_SCALE).tolist()),
    )


# Images and tables are arguments: captured, they would be constants of the program.
@functools.partial(jax.jit, static_argnames=("noise", "centered", "target"))
def _moments(
    degrade: Degradation,
    x_0: chex.Array,
    observed: Callable[[chex.Array, chex.Array], chex.Array] | None,
    *,
    noise: float,
    centered: bool,
    target: Target,
) -> tuple[chex.Array, chex.Array, chex.Array]:
    """Returns s, c and r before they are bounded, each float32 [T]."""

    def moments(t: chex.Array) -> tuple[chex.Array, chex.Array, chex.Array]:
        x_t, y = degrade(x_0, t), target_images(degrade, x_0, t, target)
        if observed is not None:
            x_t = observed(x_t, jnp.broadcast_to(t, len(x_t)))
        mean = x_t.mean(axis=(1, 2), keepdims=True) if centered else 0.0
        power = jnp.square(x_t).mean() + noise**2
        # Where D(x, T) is mid-grey, 0 everywhere, any multiple is optimal.
        skip = jnp.where(power > 0, (y * x_t).mean() / power, 0.0)
        rest = jnp.square(y - skip * x_t).mean() + jnp.square(skip * noise)
        return jnp.sqrt(jnp.square(x_t - mean).mean() + noise**2), skip, jnp.sqrt(rest)

    return jax.lax.map(moments, jnp.arange(1, degrade.num_steps + 1))
