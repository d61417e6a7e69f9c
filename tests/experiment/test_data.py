"""Opening the images that a configuration names."""

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import arrays, digits, fingerprint
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.experiment.data import open_data, open_endpoints
from configs import animorph, digits_blur


def opened(config, splits=None):
    config = config.to_dict()
    degrade = make_degradation(config["degradation"], config["data"]["image_size"])
    return open_data(config, degrade, splits=splits)


def test_labels_are_kept_for_a_conditional_network_only():
    config, labelled = digits_blur.get_config("smoke"), digits(labels=True)
    data = opened(config)
    assert data.endpoints is None and data.channels == 1
    assert data.splits.train_labels is None
    assert opened(config, labelled).splits.test_labels is None
    assert data.fingerprint() == fingerprint(labelled.train)
    config.model.num_classes = 10
    data = opened(config)
    np.testing.assert_array_equal(data.splits.train_labels, labelled.train_labels)
    np.testing.assert_array_equal(data.splits.test_labels, labelled.test_labels)
    expected = fingerprint(labelled.train, labels=labelled.train_labels)
    assert data.fingerprint() == expected


def test_a_blend_with_images_has_endpoints_that_count_for_the_fingerprint():
    data = opened(animorph.get_config("smoke"))
    np.testing.assert_array_equal(data.endpoints.train, data.splits.train)
    one = fingerprint(data.splits.train)
    assert data.fingerprint() == f"{one}-{one}"


def noise(n, size=16, channels=1):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, size, size, channels), np.uint8)


@pytest.mark.parametrize(
    ("splits", "num_classes", "message"),
    [
        (arrays(noise(4), noise(3)), 10, "is 10, and the images have no labels"),
        (
            arrays(noise(2), noise(1), train_labels=[0, 11], test_labels=[1]),
            10,
            "`model.num_classes` must be at least 12, .* got 10",
        ),
        (
            arrays(noise(4), noise(3))._replace(test=noise(0)),
            0,
            "there are no test images; `data.source` found none",
        ),
        (
            arrays(noise(4), noise(3))._replace(train=noise(0)),
            0,
            "there are no training images",
        ),
    ],
)
def test_images_that_do_not_fit_raise(splits, num_classes, message):
    config = digits_blur.get_config("smoke")
    config.model.num_classes = num_classes
    with pytest.raises(InputError, match=message):
        opened(config, splits)


def test_sizes_and_channels_that_do_not_fit_raise():
    config = digits_blur.get_config("smoke")
    config.data.update({"image_size": 8, "resize_to": 0})
    with pytest.raises(InputError, match="must be at least 11, the window of SSIM"):
        opened(config)
    config.data.update({"image_size": 16})
    with pytest.raises(InputError, match="images of 8 x 8 pixels are smaller than"):
        opened(config)
    config = animorph.get_config("smoke")
    colour = arrays(noise(4, channels=3), noise(3, channels=3))
    with pytest.raises(InputError, match="have 3 channels and their endpoints 1"):
        opened(config, colour)


def test_endpoints_are_given_if_and_only_if_the_degradation_needs_them():
    config = animorph.get_config("smoke").to_dict()
    blend = make_degradation(config["degradation"], 16)
    assert open_endpoints(config, blend).test.shape == (297, 8, 8, 1)
    other = digits_blur.get_config("smoke").to_dict()
    blur = make_degradation(other["degradation"], 16)
    assert open_endpoints(other, blur) is None
    for settings, degrade in ((other, blend), (config, blur)):
        with pytest.raises(InputError, match=r"section endpoints must name .* only if"):
            open_endpoints(settings, degrade)
