"""The ConvNeXt-style U-Net, which the paper uses on MNIST, CelebA and AFHQ."""

from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax.numpy as jnp

from colddiff_jax.models import layers
from colddiff_jax.models.depthwise import depthwise_conv
from colddiff_jax.models.options import check_inputs, check_options
from colddiff_jax.models.upsampling import TransposedConv

_HEADS, _HEAD_CHANNELS = 4, 32


class ConvNeXtUNet(nn.Module):
    """Restorer R(x_t, t): a U-Net of ConvNeXt blocks and linear attention.

    The default arguments give the network of the paper's MNIST experiments (56,612,916
    parameters, one channel) and CelebA experiments (56,615,708, three channels).

    Attributes:
        base_channels: channels at the highest resolution, even and at least 4.
        channel_multipliers: channels of each level as multiples of base_channels; every
            level but the last halves the image.
        time_embedding: whether the network is conditioned on the step.
        residual: add the input to the output.
        num_classes: number of classes for `labels`; 0 for an unconditional network.
        zero_output: initialise the last layer to zero; the published network does not.
        remat: recompute the blocks in the backward pass instead of storing their
            activations: less memory for large images, more time.
        dtype: computation dtype; parameters and output stay float32.

    Example:
        >>> model = ConvNeXtUNet(base_channels=8, channel_multipliers=(1,))
        >>> x, t = jnp.zeros((2, 32, 32, 1)), jnp.array([1, 20])
        >>> variables = initialize(model, (32, 32, 1), key=jax.random.key(0))
        >>> jax.jit(model.apply)(variables, x, t).shape
        (2, 32, 32, 1)

    Reference:
        `Unet` in the official code of Bansal et al. (2022), after lucidrains'
        denoising-diffusion-pytorch; it passes t - 1 where this network takes t. As
        there, the highest resolution has no skip connection. Weights are initialised
        with PyTorch's defaults.
    """

    base_channels: int = 64
    channel_multipliers: Sequence[int] = (1, 2, 4, 8)
    time_embedding: bool = True
    residual: bool = False
    num_classes: int = 0
    zero_output: bool = False
    remat: bool = False
    dtype: Any = jnp.float32

    @property
    def size_multiple(self) -> int:
        """The sides of images must be multiples of this number of pixels."""
        return 2 ** (len(self.channel_multipliers) - 1)

    @nn.compact
    def __call__(
        self,
        x: chex.Array,
        t: chex.Array,
        *,
        labels: chex.Array | None = None,
        dropout_keys: chex.PRNGKey | None = None,
    ) -> chex.Array:
        """Predicts the clean images.

        Args:
            x: degraded images, float [B, H, W, C], in [-1, 1]; H and W divisible by
                2^(levels - 1).
            t: steps, int32 [B], in 1..T.
            labels: class indices, int32 [B], in 0..num_classes; num_classes is the null
                class (unconditional), which None stands for.
            dropout_keys: unused, since this network has no dropout.

        Returns:
            x0_hat, float32 [B, H, W, C], roughly in [-1, 1], not clipped.

        Raises:
            TypeError: images that are not floating point.
            ValueError: a field of the network with an invalid value, images that are
                empty or not [B, H, W, C], image sides that are not divisible as above,
                not one step per image, invalid labels, or labels for a network without
                classes.
        """
        del dropout_keys
        check_options(self)
        x = check_inputs(x, t)
        levels = len(self.channel_multipliers)
        layers.check_divisible(
            x.shape, self.size_multiple, f"halved {levels - 1} times"
        )
        layers.check_labels(labels, x.shape[0], self.num_classes)
        widths = [
            self.base_channels * multiplier for multiplier in self.channel_multipliers
        ]
        temb = self._embed(t, labels)
        Block: Any = nn.remat(ConvNeXtBlock) if self.remat else ConvNeXtBlock
        Attention: Any = nn.remat(LinearAttention) if self.remat else LinearAttention

        def block(h: chex.Array, features: int, name: str) -> chex.Array:
            return Block(features, self.dtype, name=name)(h, temb)

        def attend(h: chex.Array, name: str) -> chex.Array:
            return Attention(self.dtype, name=name)(h)

        # Down.
        h = x.astype(self.dtype)
        skips = []
        for level, width in enumerate(widths):
            norm = level > 0  # The input of the first block is pixels: no LayerNorm.
            first = Block(width, self.dtype, norm, name=f"down_{level}_block_0")
            h = first(h, temb)
            h = block(h, width, f"down_{level}_block_1")
            h = attend(h, f"down_{level}_attention")
            skips.append(h)
            if level < levels - 1:
                name = f"down_{level}_downsample"
                h = layers.conv(
                    h, width, 4, stride=2, padding=1, dtype=self.dtype, name=name
                )

        # Middle.
        h = block(h, widths[-1], "middle_block_0")
        h = attend(h, "middle_attention")
        h = block(h, widths[-1], "middle_block_1")

        # Up.
        for level in range(levels - 1, 0, -1):
            h = jnp.concatenate([h, skips.pop()], axis=-1)
            h = block(h, widths[level - 1], f"up_{level}_block_0")
            h = block(h, widths[level - 1], f"up_{level}_block_1")
            h = attend(h, f"up_{level}_attention")
            h = TransposedConv(h.shape[-1], self.dtype, name=f"up_{level}_upsample")(h)

        h = Block(self.base_channels, self.dtype, name="block_out")(h, None)
        h = layers.dense(
            h, x.shape[-1], dtype=self.dtype, zero=self.zero_output, name="conv_out"
        ).astype(jnp.float32)
        return h + x if self.residual else h

    def _embed(self, t: chex.Array, labels: chex.Array | None) -> chex.Array | None:
        """Embeds step and class as one vector per image, [B, F]; None without both."""
        features, temb = self.base_channels, None
        if self.time_embedding:
            temb = layers.sinusoidal_embedding(t, features).astype(self.dtype)
            temb = layers.dense(temb, 4 * features, dtype=self.dtype, name="time_0")
            temb = nn.gelu(temb, approximate=False)
            temb = layers.dense(temb, features, dtype=self.dtype, name="time_1")
        if self.num_classes:
            label = layers.label_embedding(
                labels, self.num_classes, (t.shape[0], features), dtype=self.dtype
            )
            temb = label if temb is None else temb + label
        return temb


class ConvNeXtBlock(nn.Module):
    """A depthwise 7 x 7 convolution, LayerNorm, and two 3 x 3 convolutions.

    The step is added after the depthwise convolution.
    """

    features: int
    dtype: Any
    norm: bool = True

    @nn.compact
    def __call__(self, x: chex.Array, temb: chex.Array | None) -> chex.Array:
        """Maps x [B, H, W, C] and the embedded step [B, F] to [B, H, W, features]."""
        h = DepthwiseConv(7, self.dtype, name="depthwise")(x)
        if temb is not None:
            step = nn.gelu(temb, approximate=False)
            step = layers.dense(step, x.shape[-1], dtype=self.dtype, name="time")
            h = layers.add_to_pixels(h, step)
        if self.norm:
            h = _layer_norm(h, self.dtype, "norm")
        h = layers.conv(h, 2 * self.features, 3, dtype=self.dtype, name="conv_0")
        h = nn.gelu(h, approximate=False)
        h = layers.conv(h, self.features, 3, dtype=self.dtype, name="conv_1")
        if x.shape[-1] != self.features:
            x = layers.dense(x, self.features, dtype=self.dtype, name="shortcut")
        return x + h


class LinearAttention(nn.Module):
    """Attention through a fixed-size context, linear in the number of pixels.

    context = softmax_pixels(K)^T V,    out = (Q / sqrt(d)) context
    """

    dtype: Any

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [B, H, W, C] to the same shape."""
        batch, height, width, channels = x.shape
        h = _layer_norm(x, self.dtype, "norm").reshape(batch, height * width, channels)
        qkv = nn.Dense(
            3 * _HEADS * _HEAD_CHANNELS,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=layers.fan_in_uniform(channels),
            name="qkv",
        )(h)
        qkv = qkv.reshape(batch, height * width, 3, _HEADS, _HEAD_CHANNELS)
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        key = nn.softmax(key.astype(jnp.float32), axis=1).astype(self.dtype)
        context = jnp.einsum("bnhd,bnhe->bhde", key, value)
        h = jnp.einsum("bhde,bnhd->bnhe", context, query * _HEAD_CHANNELS**-0.5)
        h = h.reshape(batch, height * width, _HEADS * _HEAD_CHANNELS)
        h = layers.dense(h, channels, dtype=self.dtype, name="out")
        return x + h.reshape(x.shape)


class DepthwiseConv(nn.Module):
    """A size x size depthwise convolution, with a bias."""

    size: int
    dtype: Any

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [B, H, W, C] to the same shape."""
        init = layers.fan_in_uniform(self.size**2)
        channels = x.shape[-1]
        kernel = self.param("kernel", init, (self.size, self.size, channels))
        bias = self.param("bias", init, (channels,))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        return layers.add_to_pixels(depthwise_conv(x, kernel), bias)


def _layer_norm(x: chex.Array, dtype: Any, name: str) -> chex.Array:
    # Two-pass variance: near t = T images are almost flat, and E[x^2] - E[x]^2 would
    # suffer from cancellation.
    return nn.LayerNorm(epsilon=1e-5, dtype=dtype, use_fast_variance=False, name=name)(
        x
    )
