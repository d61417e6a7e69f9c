"""Building a model from a configuration, without data."""

import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.data import SOURCES
from colddiff_jax.experiment.model import build_model
from colddiff_jax.models.preconditioning import Preconditioned, Scales
from configs import digits_blur
from tests.networks import random_parameters

T = 20


def small(**model):
    config = digits_blur.get_config("smoke")
    config.model.update({"channel_multipliers": (1,)} | model)
    return config


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_is_built_without_opening_a_source(monkeypatch, channels):
    def opened(*args, **kwargs):
        raise AssertionError("a source of images was opened")

    for name in SOURCES:
        monkeypatch.setitem(SOURCES, name, opened)
    model = build_model(small(), channels=channels)
    assert model.image_shape == (16, 16, channels)
    assert model.degrade.num_steps == T and model.scales is None
    assert isinstance(model.network, cd.UNet) and model.num_classes == 0
    assert model.preprocessing.image_size == 16
    error = np.array([-0.5, 2.0])
    np.testing.assert_array_equal(model.distance(error), [0.5, 2.0])  # The loss is l1.
    like = model.abstract_params
    drawn = random_parameters(model.network, model.image_shape)
    assert jax.tree.map(np.shape, like) == jax.tree.map(np.shape, drawn)


def test_a_preconditioned_network_needs_the_scales_of_its_steps():
    config = small(precondition=True)
    with pytest.raises(InputError, match="needs the scales it is trained with"):
        build_model(config, channels=1)
    short = Scales((1.0,), (0.5,), (0.1,))
    with pytest.raises(InputError, match=r"preconditioned for 1 steps and .* has 20"):
        build_model(config, channels=1, scales=short)
    scales = Scales(*(T * (scale,) for scale in (1.0, 0.5, 0.1)))
    model = build_model(config, channels=1, scales=scales)
    assert model.network == Preconditioned(model.network.network, scales)
    assert model.scales == scales
    assert build_model(small(), channels=1, scales=scales).scales is None


def test_a_network_that_does_not_fit_the_images_raises():
    config = small(channel_multipliers=(1, 2))
    config.data.update({"image_size": 18, "resize_to": 18})
    with pytest.raises(InputError, match="model: image sides must be divisible by 8"):
        build_model(config, channels=1)


def test_restore_fn_applies_the_network_with_labels_and_guidance():
    model = build_model(small(num_classes=3), channels=1)
    assert model.num_classes == 3
    params = random_parameters(model.network, model.image_shape)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 1)).astype(np.float32)
    t, labels = np.array([1, 20]), np.array([0, 2])

    def apply(labels):
        return model.network.apply({"params": params}, x, t, labels=labels)

    own, null = apply(labels), apply(np.array([3, 3]))
    plain = model.restore_fn(params)(x, t)
    np.testing.assert_allclose(
        plain, model.network.apply({"params": params}, x, t), atol=1e-6
    )
    given = model.restore_fn(params, labels=labels)(x, t)
    np.testing.assert_allclose(given, own, atol=1e-5)
    guided = model.restore_fn(params, labels=labels, guidance=3.0)(x, t)
    np.testing.assert_allclose(guided, null + 3 * (own - null), atol=1e-4)
