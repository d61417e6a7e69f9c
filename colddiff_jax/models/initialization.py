"""The first parameters of a network."""

from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

# Hundreds of random draws that run once: only the time to compile them matters.
COMPILER_OPTIONS = {"xla_backend_optimization_level": 0}


def initialize(
    network: nn.Module, image_shape: Sequence[int], *, key: chex.PRNGKey
) -> Any:
    """Draws the initial variables of a network, by a program that compiles quickly.

    They are those of `network.init`, but for the last digits.

    Args:
        network: a linen module that is called with images x and steps t.
        image_shape: (H, W, C) of the images.
        key: the key of all draws.

    Returns:
        The variables for `network.apply`, such as {"params": ...}.

    Example:
        >>> model = UNet(base_channels=16, channel_multipliers=(1, 2), num_groups=4)
        >>> variables = initialize(model, (32, 32, 3), key=jax.random.key(0))
        >>> model.apply(variables, jnp.zeros((2, 32, 32, 3)), jnp.array([1, 20])).shape
        (2, 32, 32, 3)
    """
    x, t = jnp.zeros((1, *image_shape)), jnp.ones((1,), jnp.int32)
    first = jax.jit(network.init, compiler_options=COMPILER_OPTIONS)
    return first(key, x, t)
