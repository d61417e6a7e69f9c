"""The interleaved convolutions against the plain layers they replace."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax.models.upsampling import TransposedConv, UpsampledConv


def repeated(params, x):
    x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    return nn.Conv(4, (3, 3)).apply({"params": params}, x)


def dilated(params, x):
    layer = nn.ConvTranspose(4, (4, 4), strides=(2, 2))
    return layer.apply({"params": params}, x)


LAYERS = {
    "upsampled": (UpsampledConv(4, jnp.float32), repeated, 3),
    "transposed": (TransposedConv(4, jnp.float32), dilated, 4),
}


@pytest.mark.parametrize("height", [1, 5])
@pytest.mark.parametrize("layer", LAYERS)
def test_values_and_gradients_match_the_plain_layer(layer, height):
    ours, plain, size = LAYERS[layer]
    rng = np.random.default_rng(0)
    x = jnp.float32(rng.normal(size=(2, height, 6, 3)))
    params = {
        "kernel": jnp.float32(rng.normal(size=(size, size, 3, 4))),
        "bias": jnp.float32(rng.normal(size=4)),
    }

    def value_and_gradients(layer):
        loss = lambda params, x: jnp.sin(layer(params, x)).sum()  # noqa: E731
        return layer(params, x), jax.grad(loss, (0, 1))(params, x)

    found = value_and_gradients(lambda params, x: ours.apply({"params": params}, x))
    assert found[0].shape == (2, 2 * height, 12, 4)
    chex.assert_trees_all_close(found, value_and_gradients(plain), atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_parameters_are_initialised_as_in_pytorch_and_stay_float32(layer):
    _, _, size = LAYERS[layer]
    ours = LAYERS[layer][0].copy(dtype=jnp.bfloat16)
    x = jnp.ones((1, 4, 4, 3))
    variables = ours.init(jax.random.key(0), x)
    for leaf in jax.tree.leaves(variables):
        assert leaf.dtype == jnp.float32
        assert 0 < np.abs(leaf).max() <= 1 / np.sqrt(3 * size**2)
    assert ours.apply(variables, x).dtype == jnp.bfloat16
