"""The DDPM ResNet U-Net, which the paper uses on CIFAR-10."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax.models import layers
from colddiff_jax.models.options import check_inputs, check_options
from colddiff_jax.models.upsampling import UpsampledConv


class UNet(nn.Module):
    """Restorer R(x_t, t): a U-Net of residual blocks and attention.

    With the default arguments and 32 x 32 x 3 images this is the network of the paper's
    CIFAR-10 experiments, with 35,746,307 parameters.

    Attributes:
        base_channels: channels at the highest resolution, even and at least 4.
        channel_multipliers: channels of each level as multiples of base_channels; every
            level but the last halves the image.
        num_blocks: residual blocks per level on the way down (one more on the way up).
        attention_resolutions: feature-map heights, in pixels, that have attention.
        num_groups: groups of each GroupNorm, reduced to the greatest common divisor
            with its number of channels. Small networks need fewer than 32: with one
            channel per group, the normalisation removes the step embedding added before
            it, and the network is blind to t.
        dropout: dropout rate inside the residual blocks, in training; 0 <= rate < 1.
        num_classes: number of classes for `labels`; 0 for an unconditional network.
        patch_size: fold patch_size x patch_size pixels into channels first. Not in the
            paper: for small networks on a CPU, which is slow with few channels.
        zero_output: initialise the last layer to zero, as DDPM does; the published
            network does not.
        local: make every pixel of the output depend on its neighbourhood alone, so that
            large images can be restored in tiles: normalise over the channels of each
            pixel instead of over the image, and leave out all attention. Not in the
            paper.
        remat: recompute the blocks in the backward pass instead of storing their
            activations: less memory for large images, more time.
        attention_implementation: implementation of `jax.nn.dot_product_attention`: None
            leaves it to XLA; "cudnn" is cuDNN's flash attention, for bfloat16 on NVIDIA
            GPUs from Ampere on, with at most 128 channels (256 from Hopper on) wherever
            there is attention.
        dtype: computation dtype; parameters and output stay float32.

    Example:
        >>> model = UNet(base_channels=8, channel_multipliers=(1,), num_groups=4)
        >>> x, t = jnp.zeros((2, 32, 32, 1)), jnp.array([1, 20])
        >>> variables = initialize(model, (32, 32, 1), key=jax.random.key(0))
        >>> jax.jit(model.apply)(variables, x, t).shape
        (2, 32, 32, 1)

    Reference:
        Ho et al. (2020), arXiv:2006.11239, appendix B; `Model2.py` in the official code
        of Bansal et al. (2022), which passes t - 1 where this network takes t. As
        there, weights are initialised with PyTorch's defaults (no zero-initialised
        layers).
    """

    base_channels: int = 128
    channel_multipliers: Sequence[int] = (1, 2, 2, 2)
    num_blocks: int = 2
    attention_resolutions: Sequence[int] = (16,)
    num_groups: int = 32
    dropout: float = 0.1
    num_classes: int = 0
    patch_size: int = 1
    zero_output: bool = False
    local: bool = False
    remat: bool = False
    attention_implementation: Literal["xla", "cudnn"] | None = None
    dtype: Any = jnp.float32

    @property
    def size_multiple(self) -> int:
        """The sides of images must be multiples of this number of pixels."""
        return self.patch_size * 2 ** (len(self.channel_multipliers) - 1)

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
                patch_size * 2^(levels - 1).
            t: steps, int32 [B], in 1..T.
            labels: class indices, int32 [B], in 0..num_classes; num_classes is the null
                class (unconditional), which None stands for.
            dropout_keys: one key per example, [B], for dropout in training; None for no
                dropout.

        Returns:
            x0_hat, float32 [B, H, W, C], roughly in [-1, 1], not clipped.

        Raises:
            TypeError: images that are not floating point.
            ValueError: a field of the network with an invalid value, images that are
                empty or not [B, H, W, C], image sides that are not divisible as above,
                not one step per image, invalid labels, or labels for a network without
                classes.
        """
        check_options(self)
        x = check_inputs(x, t)
        levels = len(self.channel_multipliers)
        layers.check_divisible(
            x.shape,
            self.size_multiple,
            f"patches of {self.patch_size}, halved {levels - 1} times",
        )
        layers.check_labels(labels, x.shape[0], self.num_classes)
        channels = x.shape[-1]

        temb = layers.sinusoidal_embedding(t, self.base_channels).astype(self.dtype)
        temb = layers.dense(
            temb, 4 * self.base_channels, dtype=self.dtype, name="time_0"
        )
        temb = layers.dense(
            nn.silu(temb), 4 * self.base_channels, dtype=self.dtype, name="time_1"
        )
        if self.num_classes:
            temb += layers.label_embedding(
                labels, self.num_classes, temb.shape, dtype=self.dtype
            )
        Block: Any = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        Attention: Any = nn.remat(SelfAttention) if self.remat else SelfAttention
        norm = functools.partial(
            layers.GroupNorm, self.num_groups, self.dtype, per_pixel=self.local
        )

        def block(h: chex.Array, features: int, name: str) -> chex.Array:
            layer = Block(features, norm, self.dropout, self.dtype, name=name)
            return layer(h, temb, dropout_keys)

        def attention(h: chex.Array, name: str) -> chex.Array:
            if self.local:
                return h
            layer = Attention(
                norm, self.attention_implementation, self.dtype, name=name
            )
            return layer(h)

        def attend(h: chex.Array, name: str) -> chex.Array:
            if h.shape[1] not in self.attention_resolutions:
                return h
            return attention(h, name)

        # Down.
        h = layers.fold_patches(x, self.patch_size).astype(self.dtype)
        h = layers.conv(h, self.base_channels, 3, dtype=self.dtype, name="conv_in")
        skips = [h]
        for level, multiplier in enumerate(self.channel_multipliers):
            for i in range(self.num_blocks):
                h = block(h, self.base_channels * multiplier, f"down_{level}_block_{i}")
                h = attend(h, f"down_{level}_attention_{i}")
                skips.append(h)
            if level < levels - 1:
                h = layers.conv(
                    h,
                    h.shape[-1],
                    3,
                    stride=2,
                    padding=((0, 1), (0, 1)),
                    dtype=self.dtype,
                    name=f"down_{level}_downsample",
                )
                skips.append(h)

        # Middle.
        h = block(h, h.shape[-1], "middle_block_0")
        h = attention(h, "middle_attention")
        h = block(h, h.shape[-1], "middle_block_1")

        # Up.
        for level, multiplier in reversed(list(enumerate(self.channel_multipliers))):
            for i in range(self.num_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = block(h, self.base_channels * multiplier, f"up_{level}_block_{i}")
                h = attend(h, f"up_{level}_attention_{i}")
            if level > 0:
                h = UpsampledConv(h.shape[-1], self.dtype, name=f"up_{level}_upsample")(
                    h
                )

        h = nn.silu(norm(name="norm_out")(h))
        features = self.patch_size**2 * channels
        h = layers.conv(
            h, features, 3, dtype=self.dtype, zero=self.zero_output, name="conv_out"
        )
        return layers.unfold_patches(h, self.patch_size).astype(jnp.float32)


class ResidualBlock(nn.Module):
    """Two times norm, SiLU, 3 x 3 convolution, with the step added in between."""

    features: int
    norm: Callable[..., layers.GroupNorm]
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(
        self, x: chex.Array, temb: chex.Array, dropout_keys: chex.PRNGKey | None
    ) -> chex.Array:
        """Maps x [B, H, W, C] and the embedded step [B, F] to [B, H, W, features]."""
        h = nn.silu(self.norm(name="norm_0")(x))
        h = layers.conv(h, self.features, 3, dtype=self.dtype, name="conv_0")
        step = layers.dense(nn.silu(temb), self.features, dtype=self.dtype, name="time")
        h = layers.add_to_pixels(h, step)
        h = nn.silu(self.norm(name="norm_1")(h))
        h = layers.Dropout(self.dropout, name="dropout")(h, dropout_keys)
        h = layers.conv(h, self.features, 3, dtype=self.dtype, name="conv_1")
        if x.shape[-1] != self.features:
            x = layers.dense(x, self.features, dtype=self.dtype, name="shortcut")
        return x + h


class SelfAttention(nn.Module):
    """Single-head softmax attention between all pixels, added to its input."""

    norm: Callable[..., layers.GroupNorm]
    implementation: Literal["xla", "cudnn"] | None
    dtype: Any

    @nn.compact
    def __call__(self, x: chex.Array) -> chex.Array:
        """Maps x [B, H, W, C] to the same shape."""
        batch, height, width, channels = x.shape
        h = self.norm(name="norm")(x).reshape(batch, height * width, 1, channels)
        query, key, value = (
            layers.dense(h, channels, dtype=self.dtype, name=name)
            for name in ("query", "key", "value")
        )
        h = jax.nn.dot_product_attention(
            query, key, value, implementation=self.implementation
        )
        h = layers.dense(h, channels, dtype=self.dtype, name="out")
        return x + h.reshape(x.shape)
