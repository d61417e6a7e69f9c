"""The ConvNeXt-style U-Net against the official one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import ConvNeXtUNet
from tests.networks import random_parameters

SMALL = {"base_channels": 8, "channel_multipliers": (1, 2)}


@pytest.mark.parametrize(("channels", "count"), [(1, 56_612_916), (3, 56_615_708)])
def test_published_configurations_have_the_published_parameter_counts(channels, count):
    x, t = jnp.zeros((1, 32, 32, channels)), jnp.ones(1, jnp.int32)
    shapes = jax.eval_shape(ConvNeXtUNet().init, jax.random.key(0), x, t)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_bfloat16_keeps_float32_parameters_and_is_accurate():
    x = jax.random.uniform(jax.random.key(0), (2, 16, 24, 1), minval=-1)
    t = jnp.array([1, 9])
    half = ConvNeXtUNet(**SMALL, dtype=jnp.bfloat16)
    variables = {"params": random_parameters(half, x.shape[1:])}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    out = jax.jit(half.apply)(variables, x, t)
    expected = jax.jit(ConvNeXtUNet(**SMALL).apply)(variables, x, t)
    assert out.dtype == jnp.float32 and out.shape == x.shape
    assert np.linalg.norm(out - expected) < 0.03 * np.linalg.norm(expected)


def test_raises_for_image_sides_it_cannot_halve():
    with pytest.raises(ValueError, match=r"divisible by 8 .* got 12 x 16"):
        ConvNeXtUNet().init(
            jax.random.key(0), jnp.zeros((1, 12, 16, 1)), jnp.ones(1, jnp.int32)
        )
