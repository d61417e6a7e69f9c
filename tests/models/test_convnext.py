"""The ConvNeXt-style U-Net against the official one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import ConvNeXtUNet
from colddiff_jax.models import convnext
from tests.networks import random_parameters
from tests.torch_weights import conv, linear, norm

SMALL = {"base_channels": 8, "channel_multipliers": (1, 2)}


@pytest.fixture(scope="module")
def recorded(pytestconfig):
    return np.load(pytestconfig.rootpath / "tests" / "golden" / "unet_convnext.npz")


def official_parameters(recorded):
    def block(name):
        kernel = recorded[f"param/{name}.ds_conv.weight"][:, 0].transpose(1, 2, 0)
        tree = {
            "depthwise": {
                "kernel": kernel,
                "bias": recorded[f"param/{name}.ds_conv.bias"],
            },
            "conv_0": conv(recorded, f"{name}.net.1"),
            "conv_1": conv(recorded, f"{name}.net.3"),
        }
        if f"param/{name}.mlp.1.weight" in recorded:
            tree["time"] = linear(recorded, f"{name}.mlp.1")
        if f"param/{name}.net.0.g" in recorded:
            tree["norm"] = norm(recorded, f"{name}.net.0", "g", "b")
        if f"param/{name}.res_conv.weight" in recorded:
            tree["shortcut"] = conv(recorded, f"{name}.res_conv")
        return tree

    def attention(name):
        return {
            "norm": norm(recorded, f"{name}.fn.norm", "g", "b"),
            "qkv": linear(recorded, f"{name}.fn.fn.to_qkv"),
            "out": linear(recorded, f"{name}.fn.fn.to_out"),
        }

    def upsample(name):
        # PyTorch's transposed kernel is IOHW and flipped.
        kernel = recorded[f"param/{name}.weight"].transpose(2, 3, 0, 1)[::-1, ::-1]
        return {"kernel": kernel, "bias": recorded[f"param/{name}.bias"]}

    tree = {
        "time_0": linear(recorded, "time_mlp.1"),
        "time_1": linear(recorded, "time_mlp.3"),
        "middle_block_0": block("mid_block1"),
        "middle_attention": attention("mid_attn"),
        "middle_block_1": block("mid_block2"),
        "block_out": block("final_conv.0"),
        "conv_out": conv(recorded, "final_conv.1"),
    }
    for level in range(3):
        tree[f"down_{level}_block_0"] = block(f"downs.{level}.0")
        tree[f"down_{level}_block_1"] = block(f"downs.{level}.1")
        tree[f"down_{level}_attention"] = attention(f"downs.{level}.2")
    for level in range(2):
        tree[f"down_{level}_downsample"] = conv(recorded, f"downs.{level}.3")
        up = f"up_{2 - level}"
        tree[f"{up}_block_0"] = block(f"ups.{level}.0")
        tree[f"{up}_block_1"] = block(f"ups.{level}.1")
        tree[f"{up}_attention"] = attention(f"ups.{level}.2")
        tree[f"{up}_upsample"] = upsample(f"ups.{level}.3")
    return tree


def test_the_official_network_is_matched(recorded):
    model = ConvNeXtUNet(base_channels=16, channel_multipliers=(1, 2, 4))
    x = jnp.asarray(recorded["input_nchw"].transpose(0, 2, 3, 1))
    t = jnp.asarray(recorded["t"], jnp.int32)
    params = official_parameters(recorded)
    like = jax.eval_shape(model.init, jax.random.key(0), x, t)["params"]
    chex.assert_trees_all_equal_shapes(params, like)
    out = jax.jit(model.apply)({"params": params}, x, t).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(out, recorded["output_nchw"], atol=2e-5, rtol=0)


@pytest.mark.parametrize(("channels", "count"), [(1, 56_612_916), (3, 56_615_708)])
def test_the_published_sizes_have_their_parameters(channels, count):
    x, t = jnp.zeros((1, 32, 32, channels)), jnp.ones(1, jnp.int32)
    shapes = jax.eval_shape(ConvNeXtUNet().init, jax.random.key(0), x, t)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_both_depthwise_convolutions_and_their_gradients_agree():
    x = jax.random.normal(jax.random.key(0), (2, 9, 12, 5))
    kernel = jax.random.normal(jax.random.key(1), (7, 7, 5))

    def value_and_gradients(function):
        loss = lambda x, kernel: jnp.sin(function(x, kernel)).sum()  # noqa: E731
        return function(x, kernel), jax.jit(jax.grad(loss, (0, 1)))(x, kernel)

    chex.assert_trees_all_close(
        value_and_gradients(convnext.shift_and_add),
        value_and_gradients(convnext.grouped_convolution),
        atol=2e-4,
    )


def test_bfloat16_keeps_float32_parameters_and_nearly_the_output():
    x = jax.random.uniform(jax.random.key(0), (2, 16, 24, 1), minval=-1)
    t = jnp.array([1, 9])
    half = ConvNeXtUNet(**SMALL, dtype=jnp.bfloat16)
    variables = {"params": random_parameters(half, x.shape[1:])}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    out = jax.jit(half.apply)(variables, x, t)
    expected = jax.jit(ConvNeXtUNet(**SMALL).apply)(variables, x, t)
    assert out.dtype == jnp.float32 and out.shape == x.shape
    assert np.linalg.norm(out - expected) < 0.03 * np.linalg.norm(expected)


def test_a_side_the_network_cannot_halve_is_named():
    with pytest.raises(ValueError, match=r"divisible by 8 .* got 12 x 16"):
        ConvNeXtUNet().init(
            jax.random.key(0), jnp.zeros((1, 12, 16, 1)), jnp.ones(1, jnp.int32)
        )
