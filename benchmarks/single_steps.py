"""Degradations by single steps in JAX, as the paper defines them, and the closed form.

A step is a function of images [B, H, W, C] and of one entry of a table per step.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Step = Callable[[jax.Array, jax.Array], jax.Array]

closed_form = jax.jit(lambda degrade, x, t: degrade(x, t))


def gaussian_kernels(stds: np.ndarray, size: int) -> np.ndarray:
    """Returns normalised Gaussian kernels, [T, size, size]."""
    offsets = np.arange(size) - size // 2
    taps = np.exp(-(offsets**2) / (2 * np.asarray(stds)[:, None] ** 2))
    taps /= taps.sum(axis=1, keepdims=True)
    return taps[:, :, None] * taps[:, None]


def convolve_grouped(x: jax.Array, kernel: jax.Array, *, padding: str) -> jax.Array:
    """Blurs by one grouped convolution with a kernel [K, K]."""
    margin = (len(kernel) // 2, len(kernel) // 2)
    mode = {"circular": "wrap", "reflect": "reflect"}[padding]
    return jax.lax.conv_general_dilated(
        jnp.pad(x, ((0, 0), margin, margin, (0, 0)), mode=mode),
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, x.shape[-1])),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def convolve(x: jax.Array, kernel: jax.Array, *, padding: str) -> jax.Array:
    """Blurs every channel as an image of its own, which is fast on a CPU."""
    planes = jnp.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:3], 1)
    blurred = convolve_grouped(planes, kernel, padding=padding)
    return jnp.moveaxis(blurred.reshape(len(x), -1, *x.shape[1:3]), 1, -1)


def multiply(x: jax.Array, factor: jax.Array) -> jax.Array:
    """Takes one step of a mask [H, W, 1], or of a fade [1, 1, 1]."""
    return x * factor[None]


def mix_channels(x: jax.Array, factor: jax.Array) -> jax.Array:
    """Takes one step of desaturation."""
    return factor * x + (1 - factor) * x.mean(axis=-1, keepdims=True)


def resize(x: jax.Array, operator: jax.Array) -> jax.Array:
    """Takes one step of pixelation, by a matrix [S, S] along both axes."""
    x = jnp.einsum("ij,bjwc->biwc", operator, x, precision="highest")
    return jnp.einsum("kw,biwc->bikc", operator, x, precision="highest")


@functools.partial(jax.jit, static_argnums=0)
def all_steps(step: Step, x: jax.Array, tables: jax.Array) -> jax.Array:
    """Takes all steps, one after the other."""
    return jax.lax.scan(lambda x, table: (step(x, table), None), x, tables)[0]


@functools.partial(jax.jit, static_argnums=0)
def steps_up_to(step: Step, x: jax.Array, tables: jax.Array, t: jax.Array) -> jax.Array:
    """Takes all steps, and keeps the result of step t of every image."""

    def body(carry: tuple[jax.Array, jax.Array], entry: Any) -> Any:
        x, kept = carry
        index, table = entry
        x = step(x, table)
        return (x, jnp.where((t == index)[:, None, None, None], x, kept)), None

    indices = jnp.arange(1, len(tables) + 1)
    (_, kept), _ = jax.lax.scan(body, (x, x), (indices, tables))
    return kept
