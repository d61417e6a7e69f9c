"""Layers shared by the restorers."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax.models.layers import GroupNorm


@pytest.mark.parametrize(("num_groups", "groups"), [(1, 1), (4, 4), (12, 12), (8, 4)])
def test_group_norm_and_its_gradients_equal_those_of_flax(num_groups, groups):
    rng = np.random.default_rng(0)
    x, g = (jnp.asarray(rng.normal(size=(3, 4, 5, 12)), jnp.float32) for _ in range(2))
    ours = GroupNorm(num_groups, jnp.float32)
    flax = nn.GroupNorm(groups, epsilon=1e-6, use_fast_variance=False)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
        flax.init(jax.random.key(0), x),
    )
    y, pull = jax.vjp(ours.apply, variables, 3 * x + 2)
    expected, expected_pull = jax.vjp(flax.apply, variables, 3 * x + 2)
    chex.assert_trees_all_close(y, expected, atol=1e-5)
    chex.assert_trees_all_close(pull(g), expected_pull(g), atol=1e-4)


def test_group_norm_keeps_the_details_of_an_almost_flat_image():
    details = np.random.default_rng(0).normal(size=(1, 8, 8, 4))
    x = jnp.asarray(100 + 0.01 * details, jnp.float32)
    norm = GroupNorm(1, jnp.float32, epsilon=0.0)
    y = norm.apply(norm.init(jax.random.key(0), x), x)
    np.testing.assert_allclose(y, (details - details.mean()) / details.std(), atol=2e-2)


def test_group_norm_computes_in_float32_and_returns_its_dtype():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 4)), jnp.bfloat16)
    norm = GroupNorm(2, jnp.bfloat16)
    variables = norm.init(jax.random.key(0), x)
    y = norm.apply(variables, x)
    exact = GroupNorm(2, jnp.float32).apply(variables, x.astype(jnp.float32))
    chex.assert_trees_all_equal(y, exact.astype(jnp.bfloat16))
