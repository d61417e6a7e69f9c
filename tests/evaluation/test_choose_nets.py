"""Which feature networks a user gets by which name."""

import numpy as np
import pytest
from colddiff_jax.evaluation.feature_choice import choose_nets

from colddiff_jax import InputError
from colddiff_jax.data import arrays
from colddiff_jax.training.task import build_experiment
from configs import digits_blur, mnist_mask


@pytest.fixture(scope="module")
def digits():
    config = digits_blur.get_config("smoke")
    return build_experiment(config), config.to_dict()


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """No weights to be found, and a cache of its own."""
    monkeypatch.delenv("COLDDIFF_DATA", raising=False)
    monkeypatch.setenv("COLDDIFF_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_grey_labelled_images_get_a_classifier(digits, capsys, monkeypatch):
    monkeypatch.setattr("colddiff_jax.feature_nets.classifier._MIN_STEPS", 60)
    (net,) = choose_nets(["auto"], *digits, num_images=8)
    assert net.name == "classifier" and not net.is_fid
    assert "of the test images recognised" in capsys.readouterr().out
    (again,) = choose_nets(["classifier"], *digits, num_images=8)
    assert again.fingerprint == net.fingerprint


def test_too_few_images_are_refused_before_a_classifier_is_trained(digits, tmp_path):
    with pytest.raises(InputError, match="need at least 5 images, got 4"):
        choose_nets(["auto"], *digits, num_images=4)
    assert choose_nets(["none"], *digits, num_images=4) == []
    assert not list(tmp_path.iterdir())


def test_none_are_none(digits):
    assert choose_nets(["none"], *digits, num_images=8) == []


def test_other_images_have_none_unless_one_is_named(golden, capsys):
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"]["source"] = "npz"
    images = np.repeat(golden["images32"], 2, axis=0)
    experiment = build_experiment(config, splits=arrays(images, images))
    assert choose_nets(["auto"], experiment, config, num_images=8) == []
    out = capsys.readouterr().out
    assert "no FID: pt_inception-2015-12-05-6726825d.pth (SHA-256 6726825d0af5" in out
    with pytest.raises(InputError, match="a classifier needs labels"):
        choose_nets(["classifier"], experiment, config, num_images=8)


def test_a_name_that_is_none_is_told(digits):
    with pytest.raises(InputError, match="got 'vgg'"):
        choose_nets(["vgg"], *digits, num_images=8)
    with pytest.raises(InputError, match=r"pt_inception-2015-12-05-6726825d.pth"):
        choose_nets(["inception"], *digits, num_images=8)
    with pytest.raises(InputError, match=r"no file 'weights.npz'"):
        choose_nets(["weights.npz"], *digits, num_images=8)
