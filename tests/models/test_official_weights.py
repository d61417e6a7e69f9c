"""Weights of the authors' networks, converted to ours."""

import flax.linen as nn
import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.models.official_weights import convert_weights, network_weights
from tests.official_checkpoints import NETWORKS, SHAPE, checkpoint, recording


@pytest.mark.parametrize("name", NETWORKS)
def test_converted_networks_match_the_official_outputs(name):
    weights, x, t, expected = recording(name)
    model = NETWORKS[name]
    params = convert_weights(weights, model, x.shape[1:])
    found = jax.jit(model.apply)({"params": params}, x, t + 1)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=2e-5 * scale, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_converted_networks_take_t_instead_of_t_minus_1(name):
    # The first layer of the time embedding, before and after conversion.
    weights, *_ = recording(name)
    model = NETWORKS[name]
    params = convert_weights(weights, model, SHAPE)
    first = {"unet_convnext": "time_mlp.1", "unet_resnet": "temb.dense.0"}[name]
    official = weights[f"{first}.weight"].T.astype(np.float64)
    w = 10000.0 ** (-np.arange(len(official) // 2) / (len(official) // 2 - 1))
    t = np.arange(1, 751)[:, None]

    def embedded(t):
        return np.concatenate([np.sin(t * w), np.cos(t * w)], axis=1)

    found = embedded(t) @ params["time_0"]["kernel"]
    np.testing.assert_allclose(found, embedded(t - 1) @ official, atol=2e-6)


@pytest.mark.parametrize(
    "prefix",
    [
        "denoise_fn.",
        "module.denoise_fn.",
        "defade_fn.",
        "module.defade_fn.",
        "module.denoise_fn.module.",
    ],
)
def test_the_network_is_found_under_every_official_prefix(prefix):
    weights = {"conv_in.bias": np.ones(3, np.float64), "a.b": np.zeros(2)}
    found = network_weights(checkpoint(weights, prefix)["model"])
    assert found.keys() == weights.keys()
    assert found["conv_in.bias"].dtype == np.float32


def test_a_state_without_a_network_raises():
    with pytest.raises(cd.InputError, match=r"first names are \['a', 'b'\]"):
        network_weights({"a": np.zeros(1), "b": np.zeros(1)})


def test_weights_of_another_rank_raise():
    weights, *_ = recording("unet_convnext")
    weights["downs.0.0.ds_conv.weight"] = np.zeros(3, np.float32)
    weights["mid_attn.fn.fn.to_qkv.weight"] = np.zeros((384, 64, 3, 3), np.float32)
    with pytest.raises(cd.InputError, match=r"2 of another shape \(.*ds_conv.weight"):
        convert_weights(weights, NETWORKS["unet_convnext"], SHAPE)


def test_conditional_networks_raise():
    model = cd.UNet(num_classes=3)
    with pytest.raises(cd.InputError, match="no official network has classes"):
        convert_weights({}, model, SHAPE)


def test_other_networks_raise():
    with pytest.raises(cd.InputError, match="no official network is a Dense"):
        convert_weights({}, nn.Dense(3), SHAPE)
