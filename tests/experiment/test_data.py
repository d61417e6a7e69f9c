"""Opening the images that a configuration names."""

import importlib
import pathlib
import re

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import arrays, digits, fingerprint
from colddiff_jax.experiment import data as experiment_data
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


def test_a_field_of_another_source_is_printed_once_by_the_main_process(
    capsys, monkeypatch
):
    config = digits_blur.get_config("smoke")
    config.data.update({"path": "photos", "channels": 1, "test_split": "validation"})
    config.endpoints.path = "animals"
    opened(config)
    assert capsys.readouterr() == (
        "no effect with data.source = 'digits': data.path = 'photos' (for folder, "
        "npz), data.channels = 1 (for folder), data.test_split = 'validation' (for "
        "tfds)\n"
        "no effect with endpoints.source = '': endpoints.path = 'animals' (for folder, "
        "npz)\n",
        "",
    )
    opened(config, digits())
    assert "data.path" not in capsys.readouterr().out
    monkeypatch.setattr(experiment_data.devices, "is_main_process", lambda: False)
    opened(config)
    assert capsys.readouterr().out == ""


def test_a_used_field_is_not_reported(tmp_path, capsys):
    config = digits_blur.get_config("smoke")
    np.savez(tmp_path / "a.npz", train_images=noise(4), test_images=noise(3))
    config.data.update({"source": "npz", "path": str(tmp_path / "a.npz")})
    opened(config)
    assert capsys.readouterr().out == ""


CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda p: p.stem)
def test_no_shipped_configuration_has_a_field_without_effect(path, capsys):
    module = importlib.import_module(f"configs.{path.stem}")
    variants = re.findall(rf"configs/{path.stem}\.py:(\w+)", module.__doc__)
    assert "smoke" in variants
    for variant in (None, *variants):
        config = module.get_config(variant)
        for source in (config.data.source, "digits"):
            config.data.source = source
            for section in ("data", "endpoints"):
                experiment_data._report_unused(section, config[section].to_dict())
    assert capsys.readouterr().out == ""
