"""The first parameters of a network."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd


class Small(nn.Module):
    """A network whose parameters depend on the number of channels."""

    @nn.compact
    def __call__(self, x, t):
        return nn.Conv(x.shape[-1], (3, 3))(x) / t[:, None, None, None]


def test_they_are_those_that_the_network_draws():
    key = jax.random.key(3)
    found = cd.models.initialize(Small(), (8, 6, 2), key=key)
    expected = Small().init(key, jnp.zeros((1, 8, 6, 2)), jnp.ones(1, int))
    chex.assert_trees_all_close(found, expected, atol=1e-6)
    assert found["params"]["Conv_0"]["kernel"].shape == (3, 3, 2, 2)
    other = cd.models.initialize(Small(), (8, 6, 2), key=jax.random.key(4))
    assert np.abs(jax.tree.leaves(other)[1] - jax.tree.leaves(found)[1]).max() > 0.01
