"""A scan over training steps that is fast on CPUs, too."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def scan_or_unroll(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any
) -> tuple[Any, Any]:
    """Runs `jax.lax.scan`, or on CPUs the same steps without a loop.

    On CPUs, XLA uses its fast routines for convolutions only outside of loops; inside,
    the gradient of a convolution is far slower.
    """
    length = len(jax.tree.leaves(xs)[0])
    if length > 1 and jax.default_backend() != "cpu":
        return jax.lax.scan(step, carry, xs)
    step = jax.jit(step)  # Traced once, however many steps there are.
    results = []
    for i in range(length):
        carry, result = step(carry, jax.tree.map(lambda x: x[i], xs))  # noqa: B023
        results.append(result)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)
