"""The layers of the Inception network of 2015.

It is torchvision's Inception v3 with the differences of the TensorFlow original: the
average pools inside the blocks exclude the padding, the last block has a max pool, and
there are 1008 classes. Batch normalisation, which only scales and shifts at inference,
is folded into the convolutions.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax.feature_nets.features import Features

SIDE = 299  # Of the training images.
_CLASSES = 1008
_FULL = jax.lax.Precision.HIGHEST  # By default, GPUs and TPUs use fewer bits.


class _Conv(NamedTuple):
    """A convolution of the layer named `source`, followed by a ReLU."""

    source: str
    features: int
    height: int = 1
    width: int = 1
    stride: int = 1


# Layers by name. Those that are not the source of another are concatenated, in order.
_Block = Mapping[str, _Conv]


def _block_a(pooled: int) -> _Block:
    return {
        "branch1x1": _Conv("x", 64),
        "branch5x5_1": _Conv("x", 48),
        "branch5x5_2": _Conv("branch5x5_1", 64, 5, 5),
        "branch3x3dbl_1": _Conv("x", 64),
        "branch3x3dbl_2": _Conv("branch3x3dbl_1", 96, 3, 3),
        "branch3x3dbl_3": _Conv("branch3x3dbl_2", 96, 3, 3),
        "branch_pool": _Conv("average of x", pooled),
    }


def _block_c(inner: int) -> _Block:
    return {
        "branch1x1": _Conv("x", 192),
        "branch7x7_1": _Conv("x", inner),
        "branch7x7_2": _Conv("branch7x7_1", inner, 1, 7),
        "branch7x7_3": _Conv("branch7x7_2", 192, 7, 1),
        "branch7x7dbl_1": _Conv("x", inner),
        "branch7x7dbl_2": _Conv("branch7x7dbl_1", inner, 7, 1),
        "branch7x7dbl_3": _Conv("branch7x7dbl_2", inner, 1, 7),
        "branch7x7dbl_4": _Conv("branch7x7dbl_3", inner, 7, 1),
        "branch7x7dbl_5": _Conv("branch7x7dbl_4", 192, 1, 7),
        "branch_pool": _Conv("average of x", 192),
    }


def _block_e(pool: str) -> _Block:
    return {
        "branch1x1": _Conv("x", 320),
        "branch3x3_1": _Conv("x", 384),
        "branch3x3_2a": _Conv("branch3x3_1", 384, 1, 3),
        "branch3x3_2b": _Conv("branch3x3_1", 384, 3, 1),
        "branch3x3dbl_1": _Conv("x", 448),
        "branch3x3dbl_2": _Conv("branch3x3dbl_1", 384, 3, 3),
        "branch3x3dbl_3a": _Conv("branch3x3dbl_2", 384, 1, 3),
        "branch3x3dbl_3b": _Conv("branch3x3dbl_2", 384, 3, 1),
        "branch_pool": _Conv(pool, 192),
    }


_BLOCKS: dict[str, _Block] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": {
        "branch3x3": _Conv("x", 384, 3, 3, stride=2),
        "branch3x3dbl_1": _Conv("x", 64),
        "branch3x3dbl_2": _Conv("branch3x3dbl_1", 96, 3, 3),
        "branch3x3dbl_3": _Conv("branch3x3dbl_2", 96, 3, 3, stride=2),
    },
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": {
        "branch3x3_1": _Conv("x", 192),
        "branch3x3_2": _Conv("branch3x3_1", 320, 3, 3, stride=2),
        "branch7x7x3_1": _Conv("x", 192),
        "branch7x7x3_2": _Conv("branch7x7x3_1", 192, 1, 7),
        "branch7x7x3_3": _Conv("branch7x7x3_2", 192, 7, 1),
        "branch7x7x3_4": _Conv("branch7x7x3_3", 192, 3, 3, stride=2),
    },
    "Mixed_7b": _block_e("average of x"),
    "Mixed_7c": _block_e("maximum of x"),
}


_POOLS: dict[str, Callable[[chex.Array], chex.Array]] = {
    "average of x": functools.partial(
        nn.avg_pool, window_shape=(3, 3), padding="SAME", count_include_pad=False
    ),
    "maximum of x": functools.partial(nn.max_pool, window_shape=(3, 3), padding="SAME"),
}


class Inception(nn.Module):
    """The network, whose layers are named as in the published weights."""

    @nn.compact
    def __call__(self, x: chex.Array) -> Features:
        """Computes the features of x, float32 [B, 299, 299, 3] in [-1, 1]."""
        h = _conv(x, 32, 3, 3, name="Conv2d_1a_3x3", stride=2)
        h = _conv(h, 32, 3, 3, name="Conv2d_2a_3x3", padded=False)
        h = _conv(h, 64, 3, 3, name="Conv2d_2b_3x3")
        h = _max_pool_by_2(h)
        h = _conv(h, 80, 1, 1, name="Conv2d_3b_1x1")
        h = _conv(h, 192, 3, 3, name="Conv2d_4a_3x3", padded=False)
        h = _max_pool_by_2(h)
        for name, block in _BLOCKS.items():
            h = _Mixed(block, name=name)(h)
        pooled = h.mean(axis=(1, 2))
        logits = nn.Dense(_CLASSES, use_bias=False, precision=_FULL, name="fc")(pooled)
        return Features(pooled, nn.softmax(logits))


class _Mixed(nn.Module):
    block: _Block

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        sources = {layer.source for layer in self.block.values()}
        found = {"x": x}
        found |= {name: pool(x) for name, pool in _POOLS.items() if name in sources}
        for name, (source, *layer, stride) in self.block.items():
            found[name] = _conv(found[source], *layer, name=name, stride=stride)
        outs = [found[name] for name in self.block if name not in sources]
        if any(layer.stride == 2 for layer in self.block.values()):
            outs.append(_max_pool_by_2(x))
        return jnp.concatenate(outs, axis=-1)


def _conv(
    x: chex.Array,
    features: int,
    height: int,
    width: int,
    *,
    name: str,
    stride: int = 1,
    padded: bool = True,
) -> chex.Array:
    """Applies a convolution and a ReLU; strided convolutions have no padding."""
    if height == width == 1:  # A matrix product is faster on a CPU.
        return nn.relu(nn.Dense(features, precision=_FULL, name=name)(x))
    padded = padded and stride == 1
    layer = nn.Conv(
        features,
        (height, width),
        strides=stride,
        padding="SAME" if padded else stride,
        precision=_FULL,
        name=name,
    )
    # On a CPU, to pad and then crop is up to four times faster than not to pad.
    return nn.relu(layer(x) if padded else layer(x)[:, 1:-1, 1:-1])


def _max_pool_by_2(x: chex.Array) -> chex.Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2))


def resize_for_inception(x: chex.Array) -> chex.Array:
    """Converts images to the size and channels of the network's training images.

    Interpolation is bilinear with half-pixel centres and, as is customary for FID,
    without antialiasing even when downscaling.

    Args:
        x: float32 [B, H, W, C], C = 1 or 3.

    Returns:
        float32 [B, 299, 299, 3] in the same range; grey is repeated as RGB.

    Raises:
        ValueError: the number of channels is not 1 or 3.

    Example:
        >>> resize_for_inception(jnp.zeros((8, 28, 28, 1))).shape
        (8, 299, 299, 3)

    Reference:
        `InceptionV3` of pytorch-fid, which resizes in [0, 1]; this is equivalent, as
        the interpolation weights sum to 1.
    """
    batch, _, _, channels = x.shape
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got shape {x.shape}")
    shape = (batch, SIDE, SIDE, channels)
    x = jax.image.resize(x, shape, "bilinear", antialias=False)
    return jnp.broadcast_to(x, (*shape[:3], 3))
