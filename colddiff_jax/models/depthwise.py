"""Depthwise convolution, with an implementation for each backend.

On a CPU, XLA computes a grouped convolution several times slower than the explicit sum
over the kernel's taps below. The gradient that JAX derives from that sum is slow too,
so it is written out, too. `benchmarks/layer_speed.py` measures both.
"""

import chex
import jax
import jax.numpy as jnp


@jax.custom_vjp
def depthwise_conv(x: chex.Array, kernel: chex.Array) -> chex.Array:
    """Convolves each channel with its own kernel.

    y[b, h, w, c] = sum_ij kernel[i, j, c] x[b, h + i - K // 2, w + j - K // 2, c]

    Args:
        x: float [B, H, W, C]; zero beyond the border.
        kernel: float [K, K, C], K odd, same dtype as x.

    Returns:
        y, same shape and dtype as x. It supports only reverse-mode differentiation.

    Example:
        >>> depthwise_conv(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2)))[0, :2, :2, 0]
        Array([[4., 6.],
               [6., 9.]], dtype=float32)
    """
    return jax.lax.platform_dependent(
        x, kernel, cpu=shift_and_add, default=grouped_conv
    )


def _forward(x: chex.Array, kernel: chex.Array) -> tuple[chex.Array, tuple]:
    return depthwise_conv(x, kernel), (x, kernel)


def _backward(
    residuals: tuple[chex.Array, chex.Array], g: chex.Array
) -> tuple[chex.Array, chex.Array]:
    gradients: tuple[chex.Array, chex.Array] = jax.lax.platform_dependent(
        *residuals, g, cpu=shift_and_add_gradients, default=grouped_conv_gradients
    )
    return gradients


depthwise_conv.defvjp(_forward, _backward)


def grouped_conv(x: chex.Array, kernel: chex.Array) -> chex.Array:
    """Computes `depthwise_conv` with the backend's grouped convolution."""
    return jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def grouped_conv_gradients(
    x: chex.Array, kernel: chex.Array, g: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Returns the gradients of `grouped_conv` for a cotangent g, shaped like x."""
    return jax.vjp(grouped_conv, x, kernel)[1](g)


def shift_and_add(x: chex.Array, kernel: chex.Array) -> chex.Array:
    """Computes `depthwise_conv` as a sum over the taps, in float32 or better.

    It loops over the rows of the kernel: with all K^2 taps unrolled a single layer is
    faster, but a network with many such layers takes longer to compile and to train.
    """
    size = kernel.shape[0]
    height, width = x.shape[1:3]
    padded = _pad(x, size)

    def add_row(row: chex.Array, total: chex.Array) -> chex.Array:
        shifted = jax.lax.dynamic_slice_in_dim(padded, row, height, axis=1)
        taps = kernel[row].astype(total.dtype)
        return total + sum(
            shifted[:, :, column : column + width] * taps[None, None, None, column]
            for column in range(size)
        )

    total = jax.lax.fori_loop(0, size, add_row, _zeros(x.shape, like=x))
    return total.astype(x.dtype)


def shift_and_add_gradients(
    x: chex.Array, kernel: chex.Array, g: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Returns the gradients of `shift_and_add` for a cotangent g, shaped like x.

    The gradient with respect to x is the convolution of g with the kernel rotated by
    180 degrees. The gradient with respect to the kernel is K^2 sums of products over
    all pixels, accumulated one image row at a time so that they stay in the cache.
    """
    size = kernel.shape[0]
    batch, height, width, channels = x.shape
    padded = _pad(x, size)

    def add_row(sums: list[chex.Array], index: chex.Array) -> tuple[list, None]:
        image, row = index // height, index % height
        rows = jax.lax.dynamic_slice(
            padded, (image, row, 0, 0), (1, size, *padded.shape[2:])
        )[0]
        g_row = g[image, row].astype(sums[0].dtype)[None]
        return [
            total + rows[:, column : column + width] * g_row
            for column, total in enumerate(sums)
        ], None

    zeros = [_zeros((size, width, channels), like=x)] * size
    sums, _ = jax.lax.scan(add_row, zeros, jnp.arange(batch * height))
    kernel_gradient = jnp.stack([total.sum(axis=1) for total in sums], axis=1)
    return (
        shift_and_add(g, kernel[::-1, ::-1]),
        kernel_gradient.astype(kernel.dtype),
    )


def _zeros(shape: tuple[int, ...], like: chex.Array) -> chex.Array:
    return jnp.zeros(shape, jnp.promote_types(like.dtype, jnp.float32))


def _pad(x: chex.Array, size: int) -> chex.Array:
    margin = size // 2
    return jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
