"""Differentiable JPEG-like compression."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks
from colddiff_jax.degradations import base
from colddiff_jax.degradations.blur import dct_matrix
from colddiff_jax.degradations.separable import precise_einsum

_BLOCK = 8

# Tables K.1 and K.2 of the JPEG standard (ITU-T T.81).
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMINANCE = np.full((_BLOCK, _BLOCK), 99)
_CHROMINANCE[:4, :4] = [
    [17, 18, 24, 47],
    [18, 21, 26, 66],
    [24, 26, 56, 99],
    [47, 66, 99, 99],
]

# RGB to luminance and two colour differences as in JFIF, all centred at zero.
_TO_YCBCR = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.5],
        [0.5, -0.587 / 1.402, -0.114 / 1.402],
    ]
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class JpegLike:
    """Quantisation of the DCT coefficients of 8 x 8 blocks. Made by `jpeg_like`.

    Attributes:
        quantizers: float32 [T + 1, 2, 8, 8], bin widths of luminance and chrominance,
            for pixel values on the scale 0..255.
        num_steps: T.
        subsample: whether colour has half the resolution.
        exact: whether coefficients and pixels are rounded and clipped as in a file.

    Example:
        >>> jpeg_like([50]).quantizers[1, 0, 0, :4]
        Array([16., 11., 10., 16.], dtype=float32)
    """

    quantizers: chex.Array
    num_steps: int = dataclasses.field(metadata={"static": True})
    subsample: bool = dataclasses.field(default=False, metadata={"static": True})
    exact: bool = dataclasses.field(default=False, metadata={"static": True})

    def __repr__(self) -> str:
        return base.describe("jpeg_like", self.num_steps)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: there is nothing to draw."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps)
        height, width, channels = x.shape[1:]
        quantizers = self.quantizers[jnp.broadcast_to(t, x.shape[:1])]
        # Files centre pixels at 128, the middle of 0..255 rounded up.
        offset = 0.5 if self.exact else 0.0
        planes = to_planes(127.5 * x.astype(jnp.float32) - offset)
        if channels != 3:  # Each channel is compressed as a grey image.
            compressed = self._compress(planes, quantizers[:, 0])
        else:
            color = planes[..., 1:]
            if self.subsample:
                small = self._compress(_halve(color), quantizers[:, 1])
                color = _double(small)[:, :height, :width]
            else:
                color = self._compress(color, quantizers[:, 1])
            luminance = self._compress(planes[..., :1], quantizers[:, 0])
            compressed = jnp.concatenate([luminance, color], axis=-1)
        from_planes = jnp.float32(np.linalg.inv(_planes(channels)))
        pixels = precise_einsum("bhwd,cd->bhwc", compressed, from_planes) + offset
        if self.exact:
            levels = jnp.round(jnp.clip(pixels + 127.5, 0, 255)) - 127.5
            pixels = _straight_through(levels, pixels)
        return base.keep_clean(x, pixels / 127.5, t)

    def _compress(self, planes: chex.Array, bins: chex.Array) -> chex.Array:
        """Quantises planes [B, H, W, C] with bins [B, 8, 8]."""
        bins = bins[:, None, :, None, :, None]
        u = _blocks_to_coefficients(planes) / bins
        u = _straight_through(jnp.round(u), u) if self.exact else soft_round(u)
        dct = jnp.asarray(dct_matrix(_BLOCK), jnp.float32)
        blocks = precise_einsum("ui,vj,bhuwvc->bhiwjc", dct, dct, bins * u)
        batch_size, rows, _, columns, _, channels = blocks.shape
        image = blocks.reshape(batch_size, rows * _BLOCK, columns * _BLOCK, channels)
        return image[:, : planes.shape[1], : planes.shape[2]]


def jpeg_like(
    qualities: Sequence[float] | np.ndarray,
    *,
    subsample: bool = False,
    exact: bool = False,
) -> JpegLike:
    """Makes a degradation that approximates JPEG compression.

        D(x, t) = C^-1 Q_t r(C x / Q_t)
        r(u) = s(s(s(u))),    s(u) = u - sin(2 pi u) / (2 pi)

    where C converts RGB to luminance and colour differences and applies the discrete
    cosine transform to each 8 x 8 block, and Q_t are the quantisation tables of the
    JPEG standard, scaled to quality_t. The soft rounding r is smooth and increasing:
    almost flat around integers, with a slope of 8 halfway between them. Coefficients
    well inside a bin have almost no gradient.

    Args:
        qualities: JPEG quality settings in 1..100, one per step, non-increasing.
        subsample: keep colour at half the resolution (4:2:0), as most files do, and
            interpolate it as libjpeg does.
        exact: round coefficients and pixels to integers and clip pixels, as in a file,
            with the gradient of the identity in place of that of r. A restorer of files
            is trained so: soft rounding leaves a trace of what files have lost.

    Returns:
        A deterministic degradation with T = len(qualities), for images of any size,
        which are padded to a multiple of 8 by repeating the edge. If there are not
        three channels, each is compressed as a grey image.

    Raises:
        ValueError: a quality outside 1..100, or qualities that increase.

    Example:
        >>> degrade = jpeg_like(schedules.linear(20, start=90, increment=-4.5))

    Reference:
        Not in the paper; requested in the official repository (pull request 5). ITU-T
        T.81, annex K, with the quality scaling of the Independent JPEG Group.
    """
    values = checks.check_schedule(
        "qualities",
        qualities,
        "in 1..100",
        lambda v: (v >= 1) & (v <= 100),
        order="falling",
    )
    percent = np.where(values < 50, np.floor(5000 / values), 200 - 2 * values)
    tables = np.stack([_LUMINANCE, _CHROMINANCE])
    quantizers = np.floor((tables * percent[:, None, None, None] + 50) / 100)
    quantizers = np.concatenate([np.ones((1, *tables.shape)), quantizers])
    return JpegLike(
        quantizers=jnp.asarray(np.clip(quantizers, 1, 255), jnp.float32),
        num_steps=len(values),
        subsample=bool(subsample),
        exact=bool(exact),
    )


def block_transform(x: chex.Array) -> chex.Array:
    """Returns the discrete cosine transform of 8 x 8 blocks of images.

    Args:
        x: float32 [B, H, W, C]; three channels are RGB. Incomplete blocks are filled by
            repeating the edge.

    Returns:
        float32 [B, rows, 8, columns, 8, C]: of luminance and two colour differences, or
        of each channel if there are not three.
    """
    return _blocks_to_coefficients(to_planes(x))


def to_planes(x: chex.Array) -> chex.Array:
    """Converts RGB to luminance and two colour differences, all centred at zero.

    Args:
        x: float32 [B, H, W, C].

    Returns:
        float32 [B, H, W, C]; images without three channels are returned unchanged.
    """
    return precise_einsum("bhwc,dc->bhwd", x, jnp.float32(_planes(x.shape[-1])))


def _blocks_to_coefficients(planes: chex.Array) -> chex.Array:
    """Returns the transform of 8 x 8 blocks, [B, rows, 8, columns, 8, C]."""
    batch_size, height, width, channels = planes.shape
    padding = ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK), (0, 0))
    padded = jnp.pad(planes, padding, mode="edge")
    rows, columns = (side // _BLOCK for side in padded.shape[1:3])
    blocks = padded.reshape(batch_size, rows, _BLOCK, columns, _BLOCK, channels)
    dct = jnp.asarray(dct_matrix(_BLOCK), jnp.float32)
    return precise_einsum("ui,vj,bhiwjc->bhuwvc", dct, dct, blocks)


def _halve(planes: chex.Array) -> chex.Array:
    """Returns the means of 2 x 2 pixels; odd sides repeat the edge."""
    batch_size, height, width, channels = planes.shape
    padding = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    padded = jnp.pad(planes, padding, mode="edge")
    pairs = padded.reshape(batch_size, -(-height // 2), 2, -(-width // 2), 2, channels)
    return pairs.mean(axis=(2, 4))


def _double(planes: chex.Array) -> chex.Array:
    """Doubles both sides: 3/4 of the nearest pixel and 1/4 of the next, as libjpeg."""
    for axis in (1, 2):
        size = planes.shape[axis]
        before, after = (
            jnp.take(planes, jnp.clip(jnp.arange(size) + step, 0, size - 1), axis=axis)
            for step in (-1, 1)
        )
        pair = [0.75 * planes + 0.25 * before, 0.75 * planes + 0.25 * after]
        shape = (*planes.shape[:axis], 2 * size, *planes.shape[axis + 1 :])
        planes = jnp.stack(pair, axis=axis + 1).reshape(shape)
    return planes


def _straight_through(rounded: chex.Array, x: chex.Array) -> chex.Array:
    """Returns rounded values with the gradient of x."""
    return x + jax.lax.stop_gradient(rounded - x)


def _planes(channels: int) -> np.ndarray:
    """Returns the matrix from RGB to luminance and colour, or the identity."""
    return _TO_YCBCR if channels == 3 else np.eye(channels)


def soft_round(u: chex.Array) -> chex.Array:
    """Returns a smooth staircase: round(u) at integers, u at half-integers."""
    for _ in range(3):
        u = u - jnp.sin(2 * jnp.pi * u) / (2 * jnp.pi)
    return u
