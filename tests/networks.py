"""Small networks for tests."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from colddiff_jax import UNet


def tiny_unet(**changes) -> UNet:
    """Returns a U-Net with one level that compiles in a second."""
    arguments = {
        "base_channels": 8,
        "channel_multipliers": (1,),
        "num_blocks": 1,
        "attention_resolutions": (),
        "num_groups": 2,
        "dropout": 0.2,
        "patch_size": 4,
    }
    return UNet(**arguments | changes)


def random_parameters(model, image_shape: tuple[int, int, int], seed: int = 0):
    """Draws parameters of about the initial scale on the host, without compilation."""
    x, t = jnp.zeros((1, *image_shape)), jnp.ones(1, jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x, t)["params"]
    rng = np.random.default_rng(seed)

    def draw(leaf):
        bound = 1 / np.sqrt(np.prod(leaf.shape[:-1]))
        return jnp.asarray(rng.uniform(-bound, bound, leaf.shape), leaf.dtype)

    return jax.tree.map(draw, shapes)


class LinenNetwork(nn.Module):
    """A linen module as anyone would write it, and local."""

    local: bool = True
    size_multiple: int = 2

    @nn.compact
    def __call__(self, x, t):
        h = nn.Conv(4, (3, 3))(x) + nn.Dense(4)(t[:, None] / 4.0)[:, None, None]
        return nn.Conv(x.shape[-1], (3, 3))(nn.silu(h))


class NNXNetwork(nnx.Module):
    """The same as an NNX module."""

    def __init__(self, rngs):
        self.layers = nnx.List(
            [nnx.Conv(1, 4, (3, 3), rngs=rngs), nnx.Conv(4, 1, (3, 3), rngs=rngs)]
        )
        self.time = nnx.Linear(1, 4, rngs=rngs)

    def __call__(self, x, t):
        h = self.layers[0](x) + self.time(t[:, None] / 4.0)[:, None, None]
        return self.layers[1](nnx.silu(h))


def init_linear(key):
    """Draws the parameters of `apply_linear`."""
    gain, shade = jax.random.normal(key, (2,))
    return {"gain": gain, "shade": shade}


def apply_linear(params, x, t):
    """A network of two numbers."""
    return params["gain"] * x + params["shade"] / t[:, None, None, None]
