"""Layers that double the image size, from [B, H, W, C] to [B, 2 H, 2 W, F].

Each output pixel depends on only 2 x 2 input pixels, through the part of the kernel
that belongs to its phase: the parity of its row and column. The layer is therefore
computed as four 2 x 2 convolutions, one per phase, with interleaved results. This skips
the zeros or repeated pixels of an upsampled image: it needs less than half the
multiplications of a convolution after nearest-neighbour upsampling, and it avoids
dilated convolutions, whose gradients are slow on a CPU. `benchmarks/layer_speed.py`
measures it.
"""

from typing import Any

import chex
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from colddiff_jax.models.convolution import conv
from colddiff_jax.models.layers import add_to_pixels, fan_in_uniform

# [p, a, k]: whether tap k of 3 falls on pixel a of the two input pixels of phase p.
_NEAREST_TAPS = np.array(
    [[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=np.float32
)


class UpsampledConv(nn.Module):
    """Nearest-neighbour upsampling by 2, followed by a 3 x 3 convolution.

    Attributes:
        features: number of output channels.
        dtype: computation dtype; parameters stay float32.

    Reference:
        `Upsample` in `Model2.py` of the official code. The four kernels form a
        "sub-pixel convolution" (Shi et al. 2016, arXiv:1609.07009) with tied weights.
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
    """A transposed 4 x 4 convolution with stride 2.

    Attributes:
        features: number of output channels.
        dtype: computation dtype; parameters stay float32.

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
        # Tap 2 a + p falls on pixel a of the two input pixels of phase p.
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
    """Convolves x [B, H, W, C] with four kernels and interleaves the results.

    Output pixel (2 h + p, 2 w + q) is the kernel phases[p, q], [2, 2, C, F], applied to
    rows h + p - 1, h + p and columns w + q - 1, w + q of x.
    """
    batch, height, width, _ = x.shape
    x, phases = nn.dtypes.promote_dtype(x, phases, dtype=dtype)

    def convolve(p: int, q: int) -> chex.Array:
        return conv(x, phases[p, q], stride=1, pads=((1 - p, p), (1 - q, q)))

    rows = [jnp.stack([convolve(p, 0), convolve(p, 1)], axis=3) for p in range(2)]
    h = jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, -1)
    return add_to_pixels(h, bias)
