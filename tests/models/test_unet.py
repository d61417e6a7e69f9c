"""The DDPM ResNet U-Net against the official one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import UNet
from colddiff_jax.models import layers
from tests.networks import random_parameters
from tests.torch_weights import conv, linear, norm

SMALL = {
    "base_channels": 8,
    "channel_multipliers": (1, 2),
    "num_blocks": 1,
    "num_groups": 2,
}


@pytest.fixture(scope="module")
def recorded(pytestconfig):
    return np.load(pytestconfig.rootpath / "tests" / "golden" / "unet_resnet.npz")


def official_parameters(recorded):
    def block(name):
        tree = {
            "norm_0": norm(recorded, f"{name}.norm1"),
            "conv_0": conv(recorded, f"{name}.conv1"),
            "time": linear(recorded, f"{name}.temb_proj"),
            "norm_1": norm(recorded, f"{name}.norm2"),
            "conv_1": conv(recorded, f"{name}.conv2"),
        }
        if f"param/{name}.nin_shortcut.weight" in recorded:
            tree["shortcut"] = conv(recorded, f"{name}.nin_shortcut")
        return tree

    def attention(name):
        return {
            "norm": norm(recorded, f"{name}.norm"),
            "query": linear(recorded, f"{name}.q"),
            "key": linear(recorded, f"{name}.k"),
            "value": linear(recorded, f"{name}.v"),
            "out": linear(recorded, f"{name}.proj_out"),
        }

    tree = {
        "time_0": linear(recorded, "temb.dense.0"),
        "time_1": linear(recorded, "temb.dense.1"),
        "conv_in": conv(recorded, "conv_in"),
        "down_0_downsample": conv(recorded, "down.0.downsample.conv"),
        "down_1_attention_0": attention("down.1.attn.0"),
        "middle_block_0": block("mid.block_1"),
        "middle_attention": attention("mid.attn_1"),
        "middle_block_1": block("mid.block_2"),
        "up_1_upsample": conv(recorded, "up.1.upsample.conv"),
        "norm_out": norm(recorded, "norm_out"),
        "conv_out": conv(recorded, "conv_out"),
    }
    for level in (0, 1):
        tree[f"down_{level}_block_0"] = block(f"down.{level}.block.0")
        for i in (0, 1):
            tree[f"up_{level}_block_{i}"] = block(f"up.{level}.block.{i}")
            tree[f"up_1_attention_{i}"] = attention(f"up.1.attn.{i}")
    return tree


def test_the_official_network_is_matched(recorded):
    model = UNet(
        base_channels=32,
        channel_multipliers=(1, 2),
        num_blocks=1,
        attention_resolutions=(8,),
    )
    x = jnp.asarray(recorded["input_nchw"].transpose(0, 2, 3, 1))
    t = jnp.asarray(recorded["t"], jnp.int32)
    params = official_parameters(recorded)
    like = jax.eval_shape(model.init, jax.random.key(0), x, t)["params"]
    chex.assert_trees_all_equal_shapes(params, like)
    out = jax.jit(model.apply)({"params": params}, x, t).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(out, recorded["output_nchw"], atol=2e-5, rtol=0)


def test_the_published_size_has_35_746_307_parameters():
    x, t = jnp.zeros((1, 32, 32, 3)), jnp.ones(1, jnp.int32)
    shapes = jax.eval_shape(UNet().init, jax.random.key(0), x, t)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 35_746_307


def test_weights_start_at_the_published_scale():
    init = layers.fan_in_uniform(27)
    weights = init(jax.random.key(0), (3, 3, 3, 64))
    bound = 1 / np.sqrt(27)
    assert 0.99 * bound < np.abs(weights).max() <= bound
    np.testing.assert_allclose(weights.mean(), 0, atol=0.02 * bound)
    np.testing.assert_allclose(weights.std(), bound / np.sqrt(3), rtol=0.02)


@pytest.mark.parametrize(("patch_size", "channels"), [(1, 3), (2, 1)])
def test_bfloat16_keeps_float32_parameters_and_nearly_the_output(patch_size, channels):
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


def test_the_step_changes_the_output_and_examples_do_not_mix():
    model = UNet(**SMALL, attention_resolutions=(8,))
    x = jax.random.uniform(jax.random.key(0), (2, 16, 16, 1))
    variables = {"params": random_parameters(model, x.shape[1:])}
    apply = jax.jit(model.apply)
    one, other = (apply(variables, x, jnp.array([1, t])) for t in (1, 9))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.abs(one[1] - other[1]).max() > 1e-3


def test_dropout_acts_only_with_keys_and_per_example():
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


def test_layers_drop_at_the_stated_rate_and_keep_the_mean():
    keys = jax.random.split(jax.random.key(0), 64)
    out = layers.Dropout(0.3).apply({}, jnp.ones((64, 32, 32, 1)), keys)
    np.testing.assert_allclose((out == 0).mean(), 0.3, atol=0.01)
    np.testing.assert_allclose(out.mean(), 1, atol=0.01)


@pytest.mark.parametrize(("patch_size", "factor"), [(1, 2), (4, 8)])
def test_a_side_the_network_cannot_halve_is_named(patch_size, factor):
    model = UNet(**SMALL, patch_size=patch_size)
    with pytest.raises(ValueError, match=f"divisible by {factor} .* got 12 x 17"):
        model.init(jax.random.key(0), jnp.zeros((1, 12, 17, 1)), jnp.ones(1, jnp.int32))
