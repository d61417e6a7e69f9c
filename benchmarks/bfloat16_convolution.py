"""Compares a convolution in float32 with its products in bfloat16.

    python -m benchmarks.bfloat16_convolution

A 3 x 3 convolution from 64 to 64 channels, 64 images of 16 x 16. A convolution is a sum
of nine matrix products, one per tap, of shifted images; or one product, of all shifted
images side by side. Where a processor multiplies matrices of bfloat16 faster, these are
what a compiler could use it for. All sums are float32.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.suite import turns

SHAPE, KERNEL = (64, 16, 16, 64), (3, 3, 64, 64)
ROUNDS = 15


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def shifted(x: jax.Array) -> list[jax.Array]:
    """Returns the images that each tap multiplies."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return [
        padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)
    ]


def product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    return jnp.matmul(x, matrix, preferred_element_type=jnp.float32)


def nine_products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    taps = kernel.reshape(9, *kernel.shape[2:])
    terms = (product(tap_x, tap) for tap_x, tap in zip(shifted(x), taps, strict=True))
    return functools.reduce(jnp.add, terms)


def one_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return product(
        jnp.concatenate(shifted(x), axis=-1), kernel.reshape(-1, kernel.shape[-1])
    )


def main() -> None:
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in (SHAPE, KERNEL))
    expected = convolution(x, kernel)
    calls: dict[str, Callable[[], jax.Array]] = {}
    for way in (convolution, nine_products, one_product):
        for dtype in ("float32", "bfloat16"):
            call = functools.partial(
                jax.jit(way), x.astype(dtype), kernel.astype(dtype)
            )
            found = call().astype(jnp.float32)
            error = jnp.abs(found - expected).mean() / jnp.abs(expected).mean()
            assert error < 0.01, (way, dtype, error)
            calls[f"{way.__name__.replace('_', ' ')}, {dtype}"] = call
    row = turns.ratio(calls, ROUNDS, over="convolution, float32")
    shapes = {"images": list(SHAPE), "kernel": list(KERNEL)}
    timing.write("bfloat16_convolution", shapes | row)


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    main()
