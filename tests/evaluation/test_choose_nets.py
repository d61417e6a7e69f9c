"""Feature networks by name."""

import dataclasses
import re

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import arrays
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.experiment.model import build_model
from configs import digits_blur, mnist_mask


@pytest.fixture(scope="module")
def digits():
    return build_model(digits_blur.get_config("smoke"), channels=1)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """Hides all files of weights, and sets an empty cache."""
    monkeypatch.delenv("COLDDIFF_DATA", raising=False)
    monkeypatch.setenv("COLDDIFF_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_grey_labelled_images_get_a_classifier(digits, capsys, monkeypatch):
    monkeypatch.setattr("colddiff_jax.feature_nets.classifier._MIN_STEPS", 60)
    (net,) = choose_nets(["auto"], digits, num_images=8)
    assert net.name == "classifier" and not net.is_fid
    assert re.search(r"accuracy \d+\.\d\d% on the test", capsys.readouterr().out)
    (again,) = choose_nets(["classifier"], digits, num_images=8)
    assert again.fingerprint == net.fingerprint


def test_too_few_images_raise_before_a_classifier_is_trained(digits, tmp_path):
    with pytest.raises(InputError, match="need at least 5 images, got 4"):
        choose_nets(["classifier"], digits, num_images=4)
    for by_itself in ("auto", "none"):
        assert choose_nets([by_itself], digits, num_images=4) == []
    assert not list(tmp_path.iterdir())


def test_colour_images_have_no_network_by_default(golden, capsys):
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"]["source"] = "npz"
    images = np.repeat(golden["images32"], 2, axis=0)
    splits = arrays(images, images)
    model = build_model(config, channels=3)
    assert choose_nets(["auto"], model, num_images=8, splits=splits) == []
    out = capsys.readouterr().out
    assert "no FID: pt_inception-2015-12-05-6726825d.pth (SHA-256 6726825d0af5" in out
    assert "its address is https://github.com/mseitzer/pytorch-fid/releases/" in out
    message = r"a classifier needs .* the images have no labels; or choose other"
    with pytest.raises(InputError, match=message):
        choose_nets(["classifier"], model, num_images=8, splits=splits)


def test_missing_images_raise_only_if_a_classifier_is_named(digits, tmp_path):
    data = digits.config["data"] | {"source": "npz", "path": "missing.npz"}
    model = dataclasses.replace(digits, config=digits.config | {"data": data})
    assert choose_nets(["auto"], model, num_images=8) == []
    with pytest.raises(InputError, match=r"classifier needs .* no file 'missing.npz'"):
        choose_nets(["classifier"], model, num_images=8)


def test_unknown_names_and_missing_files_raise(digits):
    with pytest.raises(InputError, match="got 'vgg'"):
        choose_nets(["vgg"], digits, num_images=8)
    with pytest.raises(InputError, match=r"pt_inception-2015-12-05-6726825d.pth"):
        choose_nets(["inception"], digits, num_images=8)
    with pytest.raises(InputError, match=r"no file 'weights.npz'"):
        choose_nets(["weights.npz"], digits, num_images=8)
