"""Layers shared by the restorers: images [B, H, W, C], steps int32 [B]."""

import math
import zlib
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.models.convolution import conv_general_dilated

Dtype = Any


def fan_in_uniform(fan_in: int) -> Callable[..., chex.Array]:
    """Returns the initialiser U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    It is PyTorch's default for weights and biases, which the published networks use.
    """
    bound = 1.0 / math.sqrt(fan_in)

    def init(
        key: chex.PRNGKey, shape: tuple[int, ...], dtype: Dtype = jnp.float32
    ) -> chex.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def add_to_pixels(x: chex.Array, values: chex.Array) -> chex.Array:
    """Adds values, [C] or [B, C], to every pixel of x [B, H, W, C].

    The addition is in float32 or better: the gradient of the values is a sum over all
    pixels, which would be off by a quarter if every addition rounded to bfloat16.
    """
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    values = (values[None] if values.ndim == 1 else values).astype(dtype)
    return (x.astype(dtype) + values[:, None, None, :]).astype(x.dtype)


def _promote_except_bias(
    *args: jax.Array | None, dtype: Dtype = None, inexact: bool = True
) -> list[jax.Array | None]:
    # The bias stays float32, so that it is added in float32, as in `add_to_pixels`.
    x, kernel, bias = args
    return [*nn.dtypes.promote_dtype(x, kernel, dtype=dtype, inexact=inexact), bias]


def dense(
    x: chex.Array, features: int, *, dtype: Dtype, name: str, zero: bool = False
) -> chex.Array:
    """Applies a linear layer to the last axis: for images, a 1 x 1 convolution.

    On a CPU the matrix product is two to three times faster than a convolution; see
    `benchmarks/layer_speed.py`.
    """
    init = nn.initializers.zeros if zero else fan_in_uniform(x.shape[-1])
    return nn.Dense(
        features,
        dtype=dtype,
        kernel_init=init,
        bias_init=init,
        promote_dtype=_promote_except_bias,
        name=name,
    )(x).astype(dtype)


def conv(
    x: chex.Array,
    features: int,
    size: int,
    *,
    dtype: Dtype,
    name: str,
    stride: int = 1,
    zero: bool = False,
    padding: int | tuple[tuple[int, int], tuple[int, int]] | None = None,
) -> chex.Array:
    """Applies a size x size convolution, padded to keep the image size by default."""
    init = nn.initializers.zeros if zero else fan_in_uniform(size**2 * x.shape[-1])
    return nn.Conv(
        features,
        (size, size),
        strides=stride,
        padding=size // 2 if padding is None else padding,
        dtype=dtype,
        kernel_init=init,
        bias_init=init,
        promote_dtype=_promote_except_bias,
        conv_general_dilated=conv_general_dilated,
        name=name,
    )(x).astype(dtype)


class GroupNorm(nn.Module):
    """Group normalisation with a learned scale and bias, and its statistics in float32.

    It equals `flax.linen.GroupNorm`, but takes the means over pixels before those over
    the channels of a group, which a CPU does two to three times faster. The variance is
    computed in two passes: near t = T images are almost flat, and E[x^2] - E[x]^2 would
    suffer from cancellation.

    Attributes:
        num_groups: number of groups, reduced to the greatest common divisor with the
            number of channels.
        dtype: dtype of the output; parameters stay float32.
        per_pixel: whether each pixel has statistics of its own, those of all of its
            channels; the groups then have no effect.
    """

    num_groups: int
    dtype: Any
    per_pixel: bool = False
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [B, H, W, C] to the same shape."""
        batch, _, _, channels = x.shape
        scale = self.param("scale", nn.initializers.ones, (channels,))[None, None, None]
        bias = self.param("bias", nn.initializers.zeros, (channels,))[None, None, None]
        grouped = (batch, math.gcd(self.num_groups, channels), -1)

        def mean(x: chex.Array) -> chex.Array:
            if self.per_pixel:
                return x.mean(axis=3, keepdims=True)
            means = x.mean(axis=(1, 2)).reshape(grouped)
            means = jnp.broadcast_to(means.mean(axis=2, keepdims=True), means.shape)
            return means.reshape(batch, 1, 1, channels)

        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        x = x - mean(x)
        scale = scale * jax.lax.rsqrt(mean(x**2) + self.epsilon)
        return (x * scale + bias).astype(self.dtype)


class Dropout(nn.Module):
    """Dropout that draws each example's mask from that example's own key.

    The masks of a batch then do not depend on the number of devices it is split over.
    """

    rate: float

    def __call__(self, x: chex.Array, keys: chex.PRNGKey | None) -> chex.Array:
        """Applies dropout to x [B, ...] with keys [B]; without keys, returns x."""
        if keys is None or not self.rate:
            return x
        layer = zlib.crc32("/".join(self.path).encode())

        def kept(key: chex.PRNGKey) -> chex.Array:
            return jax.random.bernoulli(
                jax.random.fold_in(key, layer), 1 - self.rate, x.shape[1:]
            )

        return jnp.where(jax.vmap(kept)(keys), x / (1 - self.rate), 0)


def check_labels(labels: chex.Array | None, batch_size: int, num_classes: int) -> None:
    """Raises ValueError unless labels are None or one valid class index per image."""
    if labels is None:
        return
    if not num_classes:
        raise ValueError(
            "this network is unconditional (num_classes = 0) and takes no labels; set "
            "num_classes, or pass labels=None"
        )
    if jnp.shape(labels) != (batch_size,):
        raise ValueError(
            f"labels must be one integer per image, shape ({batch_size},), got shape "
            f"{jnp.shape(labels)}"
        )
    if not isinstance(labels, jax.core.Tracer):
        wrong = (np.asarray(labels) < 0) | (np.asarray(labels) > num_classes)
        if wrong.any():
            raise ValueError(
                f"labels must lie in 0..{num_classes} ({num_classes} is the null "
                f"class), got {labels}"
            )


def label_embedding(
    labels: chex.Array | None,
    num_classes: int,
    shape: tuple[int, ...],
    *,
    dtype: Dtype,
) -> chex.Array:
    """Embeds labels [B] as vectors of shape [B, F]; num_classes is the null class."""
    if labels is None:
        labels = jnp.full(shape[0], num_classes, jnp.int32)
    return nn.Embed(num_classes + 1, shape[1], dtype=dtype, name="label")(labels)


def sinusoidal_embedding(t: chex.Array, features: int) -> chex.Array:
    """Returns [sin(t w_k), cos(t w_k)], w_k = 10000^(-k / (F / 2 - 1)), [B, F]."""
    half = features // 2
    frequencies = jnp.exp(-math.log(10000.0) / (half - 1) * jnp.arange(half))
    angles = t.astype(jnp.float32)[:, None] * frequencies[None, :]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def fold_patches(x: chex.Array, size: int) -> chex.Array:
    """Folds size x size pixels into channels, [B, H/size, W/size, size^2 C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height // size, width // size, size * size * channels)


def unfold_patches(x: chex.Array, size: int) -> chex.Array:
    """Inverts `fold_patches`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, size, size, channels // size**2)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height * size, width * size, channels // size**2)


def check_divisible(shape: tuple[int, ...], factor: int, reason: str) -> None:
    """Raises ValueError unless factor divides H and W of a shape [B, H, W, C]."""
    height, width = shape[1:3]
    if height % factor or width % factor:
        raise ValueError(
            f"image sides must be divisible by {factor} ({reason}), got {height} x "
            f"{width}; resize or pad the images, or use a network with fewer levels"
        )
