"""Small networks for tests."""

import jax
import jax.numpy as jnp
import numpy as np

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
