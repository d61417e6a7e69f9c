"""The DDPM ResNet U-Net against the official one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import UNet
from colddiff_jax.models import layers
from tests.networks import random_parameters

SMALL = {
    "base_channels": 8,
    "channel_multipliers": (1, 2),
    "num_blocks": 1,
    "num_groups": 2,
}


def test_the_published_configuration_has_35_746_307_parameters():
    x, t = jnp.zeros((1, 32, 32, 3)), jnp.ones(1, jnp.int32)
    shapes = jax.eval_shape(UNet().init, jax.random.key(0), x, t)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 35_746_307


def test_weights_are_initialised_at_the_published_scale():
    init = layers.fan_in_uniform(27)
    weights = init(jax.random.key(0), (3, 3, 3, 64))
    bound = 1 / np.sqrt(27)
    assert 0.99 * bound < np.abs(weights).max() <= bound
    np.testing.assert_allclose(weights.mean(), 0, atol=0.02 * bound)
    np.testing.assert_allclose(weights.std(), bound / np.sqrt(3), rtol=0.02)


@pytest.mark.parametrize(("patch_size", "channels"), [(1, 3), (2, 1)])
def test_bfloat16_keeps_float32_parameters_and_is_accurate(patch_size, channels):
    x = jax.random.uniform(jax.random.key(0), (2, 16, 24, channels), minval=-1)
    t = jnp.array([1, 9])
    full = UNet(**SMALL, attention_resolutions=(8,), patch_size=patch_size)
    half = full.copy(dtype=jnp.bfloat16)
    variables = {"params": random_parameters(half, x.shape[1:])}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    expected = jax.jit(full.apply)(variables, x, t)
    out = jax.jit(half.apply)(variables, x, t)
    assert out.dtype == jnp.float32 and out.shape == x.shape
    assert np.linalg.norm(out - expected) < 0.03 * np.linalg.norm(expected)


def test_the_step_affects_only_the_output_of_its_own_example():
    model = UNet(**SMALL, attention_resolutions=(8,))
    x = jax.random.uniform(jax.random.key(0), (2, 16, 16, 1))
    variables = {"params": random_parameters(model, x.shape[1:])}
    apply = jax.jit(model.apply)
    one, other = (apply(variables, x, jnp.array([1, t])) for t in (1, 9))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.abs(one[1] - other[1]).max() > 1e-3


def test_dropout_needs_keys_and_is_independent_per_example():
    model = UNet(**SMALL, attention_resolutions=(), dropout=0.5)
    x = jax.random.uniform(jax.random.key(0), (4, 16, 16, 1))
    t = jnp.ones(4, jnp.int32)
    variables = {"params": random_parameters(model, x.shape[1:])}

    def dropped(first, last):
        keys = jax.random.split(jax.random.key(2), 4)[first:last]
        return apply(variables, x[first:last], t[first:last], dropout_keys=keys)

    apply = jax.jit(model.apply)
    plain = apply(variables, x, t)
    np.testing.assert_array_equal(plain, apply(variables, x, t))
    assert np.abs(dropped(0, 4) - plain).max() > 1e-2
    halves = np.concatenate([dropped(0, 2), dropped(2, 4)])
    np.testing.assert_allclose(dropped(0, 4), halves, atol=1e-5)


def test_dropout_has_the_given_rate_and_preserves_the_mean():
    keys = jax.random.split(jax.random.key(0), 64)
    out = layers.Dropout(0.3).apply({}, jnp.ones((64, 32, 32, 1)), keys)
    np.testing.assert_allclose((out == 0).mean(), 0.3, atol=0.01)
    np.testing.assert_allclose(out.mean(), 1, atol=0.01)


@pytest.mark.parametrize(("patch_size", "factor"), [(1, 2), (4, 8)])
def test_raises_for_image_sides_it_cannot_halve(patch_size, factor):
    model = UNet(**SMALL, patch_size=patch_size)
    with pytest.raises(ValueError, match=f"divisible by {factor} .* got 12 x 17"):
        model.init(jax.random.key(0), jnp.zeros((1, 12, 17, 1)), jnp.ones(1, jnp.int32))


def test_a_local_network_looks_no_further_than_its_convolutions_reach():
    x = jax.random.uniform(jax.random.key(0), (1, 48, 48, 1), minval=-1)
    changed = x.at[:, :8].set(1.0)
    t = jnp.array([3])
    for local in (True, False):
        model = UNet(**SMALL, attention_resolutions=(), local=local)
        params = random_parameters(model, (48, 48, 1))
        apply = jax.jit(model.apply)
        one, other = (apply({"params": params}, images, t) for images in (x, changed))
        differences = jnp.abs(one - other).max(axis=(0, 2, 3))
        assert differences[:8].min() > 1e-4
        # 22 rows at half resolution and 9 at full resolution, at most.
        assert (differences[8 + 32 :].max() == 0) == local


def test_a_local_network_with_attention_raises():
    model = UNet(**SMALL, attention_resolutions=(8,), local=True)
    with pytest.raises(ValueError, match=r"set attention_resolutions to \(\)"):
        model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), jnp.ones(1))
