"""Convolution whose gradients are fast on a CPU, too.

XLA computes the gradient of the kernel as one convolution that sums over the batch and
all pixels. On a CPU, its working set outgrows the caches, and it runs at a fraction of
the speed of the forward pass; summed over slices of a few images, it does not.
Moreover, within a loop XLA uses its fast routine only for convolutions whose axes are
in the order NHWC, HWIO, which the gradients that JAX derives are not.
`benchmarks/layer_speed.py` measures it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

Pads = tuple[tuple[int, int], tuple[int, int]]

_convolve = functools.partial(
    jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC")
)
_SLICE_PIXELS = 2048  # Output pixels of the images in a slice.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv(
    x: chex.Array,
    kernel: chex.Array,
    stride: int,
    pads: Pads,
    precision: jax.lax.Precision | None = None,
) -> chex.Array:
    """Convolves images, as `jax.lax.conv_general_dilated` does.

    y[b, h, w, d] = sum_ijc kernel[i, j, c, d] x[b, s h + i - p, s w + j - q, c]

    Args:
        x: float [B, H, W, C]; zero beyond the border.
        kernel: float [K, L, C, D], same dtype as x.
        stride: s, along both axes.
        pads: zeros before and after the rows, (p, ...), and columns, (q, ...).
        precision: of the products.

    Returns:
        y [B, (H + pads - K) // s + 1, ..., D], same dtype as x. It supports only
        reverse-mode differentiation.

    Example:
        >>> x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 1))
        >>> conv(x, kernel, 1, ((1, 1), (1, 1)))[0, :2, :2, 0]
        Array([[ 8., 12.],
               [12., 18.]], dtype=float32)
    """
    return _convolve(
        x, kernel, window_strides=(stride, stride), padding=pads, precision=precision
    )


def _forward(
    x: chex.Array, kernel: chex.Array, *options: Any
) -> tuple[chex.Array, tuple[chex.Array, chex.Array]]:
    return conv(x, kernel, *options), (x, kernel)


def _backward(
    stride: int,
    pads: Pads,
    precision: jax.lax.Precision | None,
    residuals: tuple[chex.Array, chex.Array],
    g: chex.Array,
) -> tuple[chex.Array, chex.Array]:
    options: dict[str, Any] = {"stride": stride, "pads": pads, "precision": precision}
    gradients: tuple[chex.Array, chex.Array] = jax.lax.platform_dependent(
        *residuals,
        g,
        cpu=functools.partial(sliced_gradients, **options),
        default=functools.partial(derived_gradients, **options),
    )
    return gradients


conv.defvjp(_forward, _backward)


def conv_general_dilated(
    x: chex.Array,
    kernel: chex.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    precision: jax.lax.Precision | None = None,
    **_: Any,
) -> chex.Array:
    """Stands in for `jax.lax.conv_general_dilated` in `flax.linen.Conv`.

    It computes `conv`: square strides, no dilation and no groups.
    """
    stride, other = window_strides
    assert stride == other
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(
            x.shape[1:3], kernel.shape[:2], window_strides, padding
        )
    (top, bottom), (left, right) = padding
    return conv(x, kernel, stride, ((top, bottom), (left, right)), precision)


def derived_gradients(
    x: chex.Array,
    kernel: chex.Array,
    g: chex.Array,
    *,
    stride: int,
    pads: Pads,
    precision: jax.lax.Precision | None = None,
) -> tuple[chex.Array, chex.Array]:
    """Returns the gradients of `conv` that JAX derives, for a cotangent g like y."""
    convolve = functools.partial(
        _convolve, window_strides=(stride, stride), padding=pads, precision=precision
    )
    gradients: tuple[chex.Array, chex.Array] = jax.vjp(convolve, x, kernel)[1](g)
    return gradients


def sliced_gradients(
    x: chex.Array,
    kernel: chex.Array,
    g: chex.Array,
    *,
    stride: int,
    pads: Pads,
    precision: jax.lax.Precision | None = None,
) -> tuple[chex.Array, chex.Array]:
    """Returns the gradients of `conv`, with that of the kernel summed over slices.

    The gradient of x is the convolution of g, with stride - 1 zeros between its pixels,
    with the kernel rotated by 180 degrees. The gradient of the kernel is the
    convolution of x and g with images and channels exchanged.
    """
    convolve = functools.partial(_convolve, window_strides=(1, 1), precision=precision)
    # Pixels of x that g reaches; beyond them there may be up to stride - 1 more.
    spans = [stride * (size - 1) + 1 for size in g.shape[1:3]]
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], spans, pads, strict=True))
    x_gradient = convolve(
        g,
        kernel[::-1, ::-1].swapaxes(2, 3),
        padding=[(k - 1 - p, n - s + p) for n, k, s, (p, _) in sizes],
        lhs_dilation=(stride, stride),
    )

    # As few slices as possible, and of equal size: an incomplete one is padded.
    batch, height, width, _ = g.shape
    num_slices = -(-batch * height * width // _SLICE_PIXELS)
    num_slices = min(num_slices, batch)
    length = -(-batch // num_slices)

    def in_slices(array: chex.Array) -> chex.Array:
        array = jnp.pad(array, ((0, length * num_slices - batch), *[(0, 0)] * 3))
        return array.reshape(num_slices, length, *array.shape[1:])

    def add_slice(
        total: chex.Array, images: tuple[chex.Array, chex.Array]
    ) -> tuple[chex.Array, None]:
        x, g = (array.astype(total.dtype) for array in images)
        return total + convolve(
            x.transpose(3, 1, 2, 0),
            g.transpose(1, 2, 0, 3),
            padding=[(p, k - 1 - n - p + s) for n, k, s, (p, _) in sizes],
            rhs_dilation=(stride, stride),
        ), None

    rows, columns, channels, features = kernel.shape
    dtype = jnp.promote_types(kernel.dtype, jnp.float32)
    zeros = jnp.zeros((channels, rows, columns, features), dtype)
    total, _ = jax.lax.scan(add_slice, zeros, (in_slices(x), in_slices(g)))
    return x_gradient, total.transpose(1, 2, 0, 3).astype(kernel.dtype)
