"""Layers that double the image: images [B, H, W, C] to [B, 2 H, 2 W, F].

Every other row and column of the result sees another part of the kernel, and of the
small image only 2 x 2 pixels: four small convolutions, whose results are interleaved,
are the whole layer. They never touch the zeros or the copies that the large image would
be filled with, which takes less than half of the products of a convolution after
nearest-neighbour upsampling, and avoids dilated convolutions, whose gradients are slow
on a CPU. `benchmarks/layer_speed.py` measures it.
"""

from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.models.layers import add_to_pixels, fan_in_uniform

# Which taps k of a kernel of 3 fall on pixel a of the two that phase p sees: [p, a, k].
_NEAREST_TAPS = np.array(
    [[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=np.float32
)


class UpsampledConv(nn.Module):
    """A 3 x 3 convolution of the image with every pixel repeated 2 x 2 times.

    Attributes:
        features: channels of the result.
        dtype: of the computation; parameters stay float32.

    Reference:
        `Upsample` in `Model2.py` of the official code. The four kernels are those of
        "sub-pixel convolution" (Shi et al. 2016, arXiv:1609.07009), tied.
    """

    features: int
    dtype: Any

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [B, H, W, C] to [B, 2 H, 2 W, features]."""
        kernel, bias = _parameters(self, 3, x.shape[-1], self.features)
        phases = jnp.einsum(
            "pak,qbl,klcf->pqabcf", _NEAREST_TAPS, _NEAREST_TAPS, kernel
        )
        return _interleaved_conv(x, phases, bias, self.dtype)


class TransposedConv(nn.Module):
    """A transposed 4 x 4 convolution of stride 2.

    Attributes:
        features: channels of the result.
        dtype: of the computation; parameters stay float32.

    Reference:
        `Upsample` of the official ConvNeXt-style code,
        `ConvTranspose2d(dim, dim, 4, 2, 1)`.
    """

    features: int
    dtype: Any

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [B, H, W, C] to [B, 2 H, 2 W, features]."""
        kernel, bias = _parameters(self, 4, x.shape[-1], self.features)
        # Tap 2 a + p falls on pixel a of the two that phase p sees.
        phases = kernel.reshape(2, 2, 2, 2, *kernel.shape[2:])
        phases = phases.transpose(1, 3, 0, 2, 4, 5)
        return _interleaved_conv(x, phases, bias, self.dtype)


def _parameters(
    module: nn.Module, size: int, channels: int, features: int
) -> tuple[chex.Array, chex.Array]:
    init = fan_in_uniform(size * size * channels)
    kernel = module.param("kernel", init, (size, size, channels, features))
    return kernel, module.param("bias", init, (features,))


def _interleaved_conv(
    x: chex.Array, phases: chex.Array, bias: chex.Array, dtype: Any
) -> chex.Array:
    """Interleaves the results of the kernels phases [2, 2, 2, 2, C, F].

    Pixel (2 h + p, 2 w + q) is kernel [p, q] on pixels h + p - 1, h + p by
    w + q - 1, w + q of x [B, H, W, C].
    """
    batch, height, width, _ = x.shape
    x, phases = nn.dtypes.promote_dtype(x, phases, dtype=dtype)

    def convolve(p: int, q: int) -> chex.Array:
        return jax.lax.conv_general_dilated(
            x,
            phases[p, q],
            window_strides=(1, 1),
            padding=((1 - p, p), (1 - q, q)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    rows = [jnp.stack([convolve(p, 0), convolve(p, 1)], axis=3) for p in range(2)]
    h = jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, -1)
    return add_to_pixels(h, bias)
