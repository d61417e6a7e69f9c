"""The degradation protocols, and helpers that all degradations share.

Conventions throughout the package: images are float, NHWC, in [-1, 1], and are not
clipped (except by `snow`); the step t is int32 in 0..T, a scalar or one per example;
D(x, 0) is x bit for bit, and D(x, T) is the most degraded image.
"""

from collections.abc import Sequence
from typing import Literal, Protocol, Self, runtime_checkable

import chex
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import check_images, check_steps
from colddiff_jax.reprs import sides

EndpointKind = Literal["image", "noise", "color"]
"""The kind of endpoint that a degradation blends the image with."""


@runtime_checkable
class Degradation(Protocol):
    """A degradation of increasing severity, x_t = D(x_0, t) for t = 0 ... T.

    Every degradation is a frozen dataclass registered as a pytree: its tables and
    random draws are leaves, and `num_steps` is static. It can therefore be passed to
    functions under `jit`, `pmap`, `vmap`, `scan` and `grad` as an ordinary argument.

    Attributes:
        num_steps: T, the number of degradation steps.

    Example:
        >>> import jax, colddiff_jax as cd
        >>> stds = cd.schedules.constant(num_steps=4, value=1.0)
        >>> degrade = cd.gaussian_blur(8, stds, kernel_size=3)
        >>> degrade(jax.numpy.ones((2, 8, 8, 3)), t=4).shape
        (2, 8, 8, 3)

    Reference:
        Bansal et al. (2022), arXiv:2208.09392, section 3.
    """

    @property
    def num_steps(self) -> int:
        """T, the number of degradation steps."""
        ...

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws all random parameters, once per example of a batch of `shape`.

        `key` is a single key or one per example, [B]; `shape` is [B, H, W, C]. A bound
        degradation serves a whole trajectory: Algorithm 2 subtracts D(x0_hat, t) and
        needs the same mask at every t. Deterministic degradations return self.
        """
        ...

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t), like x [B, H, W, C], for an integer step t [] or [B]."""
        ...


@runtime_checkable
class Linear(Degradation, Protocol):
    """A degradation linear or affine in x, with a known pseudo-inverse."""

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns the minimum-norm least-squares change of x that changes D(x, t) by y.

        Args:
            y: change of the degraded images, float [B, H, W, C].
            t: step, integer [] or [B].
            cutoff: singular values of D(., t) up to this one count as zero.
            damping: lambda, for (A^T A + lambda)^-1 A^T instead of the pseudo-inverse
                of A: the Wiener filter of noise with lambda times the variance of x;
                one number, one per image, or one per component.

        Returns:
            float32 [B, H, W, C].
        """
        ...


@runtime_checkable
class WithEndpoint(Degradation, Protocol):
    """A degradation that blends the image with an endpoint z.

    Attributes:
        endpoint_kind: "image" (another image), "noise", or "color" (one per image).
    """

    @property
    def endpoint_kind(self) -> EndpointKind:
        """The kind of endpoint z."""
        ...

    def with_endpoint(self, z: chex.Array) -> Self:
        """Returns this degradation with the endpoint z, float [B, H, W, C]."""
        ...

    def estimate_endpoint(
        self, x_t: chex.Array, x0_hat: chex.Array, t: chex.Numeric
    ) -> chex.Array:
        """Solves x_t = D(x0_hat, t) for the endpoint z."""
        ...


@runtime_checkable
class WithNoise(WithEndpoint, Protocol):
    """A degradation whose endpoint z is scaled by one number per step.

        D(x, t) = alpha_t A_t(x) + sigma_t z

    Samplers can draw a part of z anew at every step.
    """

    def levels(self, t: chex.Numeric) -> tuple[chex.Array, chex.Array]:
        """Returns alpha_t and sigma_t, float32 like the integer t [] or [B]."""
        ...


@runtime_checkable
class WithModes(WithNoise, Protocol):
    """A degradation with noise whose alpha_t is one number per mode.

        D(x, t) = V (alpha_t V^T x) + sigma_t z,    V^T V = 1

    `levels` returns alpha_t as an array that multiplies modes.
    """

    def to_modes(self, x: chex.Array) -> chex.Array:
        """Returns the modes V^T x of images [B, H, W, C], like x."""
        ...

    def from_modes(self, modes: chex.Array) -> chex.Array:
        """Returns V u, the images of modes."""
        ...


def describe(name: str, num_steps: int, image_size: tuple[int, ...] = ()) -> str:
    """Returns the repr of a degradation, such as "gaussian_blur(T=50, 32 x 32)".

    Args:
        name: the function that makes it.
        num_steps: T.
        image_size: (H, W) it was made for; empty for any size.
    """
    return f"{name}(T={num_steps}{', ' * bool(image_size)}{sides(image_size)})"


def has_inverse(degrade: object) -> bool:
    """Whether the pseudo-inverse of a degradation serves consistent predictions.

    That of a blend would have to know the endpoint.
    """
    return isinstance(degrade, Linear) and endpoint_kind(degrade) is None


def endpoint_kind(degrade: object) -> EndpointKind | None:
    """Returns the kind of endpoint of a degradation, or None if it has no endpoint."""
    return getattr(degrade, "endpoint_kind", None)


def takes_images(degrade: object) -> bool:
    """Whether a degradation blends with images, which have to be given.

    They are its endpoint, or where noise is added to it that of the degradation inside.
    """
    return getattr(degrade, "takes_images", endpoint_kind(degrade) == "image")


def divide(
    y: chex.Array,
    singular_values: chex.Array,
    cutoff: chex.Numeric,
    damping: chex.Numeric = 0.0,
) -> chex.Array:
    """Returns y s / (s^2 + damping), or 0 where s does not exceed the cutoff."""
    known = singular_values > cutoff
    s = jnp.where(known, singular_values, 1.0)
    return jnp.where(known, y / (s + damping / s), 0.0)


def per_example(values: chex.Array, x: chex.Array) -> chex.Array:
    """Appends axes to values [] or [B] so that they broadcast against x [B, ...]."""
    return jnp.reshape(values, values.shape + (1,) * (x.ndim - 1) * values.ndim)


def check_call(
    x: chex.Array,
    t: chex.Numeric,
    num_steps: int,
    image_size: tuple[int, ...] | None = None,
) -> tuple[chex.Array, chex.Array]:
    """Returns x and t as arrays after the checks common to every D(x, t).

    Args:
        x: images, float [B, H, W, C].
        t: step, integer [] or [B], in 0..num_steps; the range is checked only if t is
            concrete, since a traced t has no value yet.
        num_steps: T.
        image_size: (H, W) the degradation was made for; None accepts any size.

    Raises:
        TypeError: x is not floating point, or t is not an integer.
        ValueError: x has the wrong size, or t the wrong shape or range.
    """
    x, t = check_images(x), check_steps(t, num_steps, np.shape(x)[0])
    if image_size is not None and x.shape[1:3] != image_size:
        raise ValueError(
            f"this degradation was made for images of {image_size[0]} x "
            f"{image_size[1]} pixels, got x of shape {x.shape} (NHWC); make it with "
            f"image_size={x.shape[1:3]} or resize the images"
        )
    return x, t


def keep_clean(x: chex.Array, x_t: chex.Array, t: chex.Array) -> chex.Array:
    """Returns x_t in the dtype of x, and x itself, bit for bit, where t = 0.

    Even a product with one may differ from x, since subnormals may be flushed to zero.
    """
    return jnp.where(per_example(t == 0, x), x, x_t.astype(x.dtype))


def num_steps_of(degrade: object) -> int:
    """Returns T of a degradation; raises for a plain function, which has none."""
    num_steps = getattr(degrade, "num_steps", None)
    if num_steps is None:
        raise TypeError(
            f"a plain function has no num_steps; make {degrade!r} a degradation with "
            "colddiff_jax.from_function(fn, num_steps)"
        )
    return num_steps


def check_bound(drawn: chex.Array | None, x: chex.Array, what: str) -> chex.Array:
    """Returns the draws of `bind`, [B, ...] or [1, ...], if they fit x [B, ...].

    Raises:
        ValueError: `bind` was not called, or was called for another batch size.
    """
    if drawn is None:
        raise ValueError(
            f"this degradation has {what} that has not been drawn yet; call degrade = "
            "degrade.bind(key, x.shape) first"
        )
    if drawn.shape[0] not in (1, x.shape[0]):
        raise ValueError(
            f"this degradation was bound to {drawn.shape[0]} examples, got "
            f"{x.shape[0]}; bind it again with x.shape"
        )
    return drawn


def check_degradation(caller: str, value: object) -> None:
    """Raises a TypeError unless a value is a degradation."""
    if isinstance(value, type) or not isinstance(value, Degradation):
        raise TypeError(
            f"{caller} takes degradations, got {value!r}; use colddiff_jax."
            "from_function(fn, num_steps) to make one from a function"
        )
