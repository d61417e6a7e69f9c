"""Sets of images to restore: splits of a run's data, and folders."""

import dataclasses
import os

import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import InputError, to_float
from colddiff_jax.data import Batch, ImageSplits, Preprocessing, arrays
from colddiff_jax.experiment.data import RunData
from colddiff_jax.experiment.model import build_model
from colddiff_jax.io.figures import save_png
from colddiff_jax.restoration.image_set import (
    images_of_folder,
    images_of_run,
    split_of,
)
from colddiff_jax.restoration.restorer import Restorer
from configs import animorph
from tests.restoration.runs import npz_config, save_images

SQUARE = Preprocessing(image_size=16, resize_to=16)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture
def labelled():
    """Six training and four test images of 16 x 16 with labels, and two endpoints."""
    splits = arrays(
        noise(6, 16, 16, 1),
        noise(4, 16, 16, 1),
        train_labels=np.arange(6) % 3,
        test_labels=np.arange(4) % 3,
    )
    others = noise(2, 20, 20, 1)
    return RunData(splits, ImageSplits(others, others[::-1]))


@pytest.fixture
def made(tmp_path):
    """A restorer without weights, trained on the images in the npz file."""
    path = tmp_path / "images.npz"
    save_images(path)
    model = build_model(npz_config(path), channels=1)
    data = np.load(path)
    splits = arrays(data["train_images"], data["test_images"])
    trained_on = RunData(splits, None).fingerprint()
    return Restorer(model, None, 0, trained_on), path, splits


def test_a_split_has_its_labels_and_endpoints(labelled):
    test, train = (split_of(labelled, SQUARE, *name) for name in ((), ("train",)))
    assert (test.split, train.split, test.source) == ("test", "train", "")
    np.testing.assert_array_equal(test.images, labelled.splits.test)
    np.testing.assert_array_equal(train.images, labelled.splits.train)
    np.testing.assert_array_equal(test.labels, labelled.splits.test_labels)
    np.testing.assert_array_equal(train.labels, labelled.splits.train_labels)
    np.testing.assert_array_equal(test.endpoints, labelled.endpoints.test)
    np.testing.assert_array_equal(train.endpoints, labelled.endpoints.train)


def test_a_batch_has_the_labels_of_its_images_and_reuses_endpoints(labelled):
    images = split_of(labelled, SQUARE, "train")
    batch = images.load(np.array([5, 0, 1]))
    np.testing.assert_array_equal(batch.images, labelled.splits.train[[5, 0, 1]])
    np.testing.assert_array_equal(batch.labels, [2, 0, 1])
    expected = [SQUARE.test(labelled.endpoints.train[i]) for i in (1, 0, 1)]
    np.testing.assert_array_equal(batch.endpoints, expected)


def test_a_set_without_labels_and_endpoints_loads_neither(labelled):
    splits = labelled.splits._replace(test_labels=None)
    batch = split_of(RunData(splits, None), SQUARE).load(range(2, 4))
    assert isinstance(batch, Batch) and len(batch.images) == 2
    assert batch.labels is None and batch.endpoints is None


def test_images_of_two_sizes_raise_where_they_are_cropped_on_the_device(labelled):
    uncropped = dataclasses.replace(SQUARE, resize_to=0)
    mixed = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 20, 3), np.uint8)]
    images = split_of(labelled, uncropped)._replace(images=mixed, endpoints=None)
    assert images.load([0, 1]).images.shape == (2, 16, 16, 3)
    with pytest.raises(InputError, match="the images have different sizes"):
        images.load([0, 1], crop=False)


def test_a_description_tells_sets_apart(labelled):
    test, train = (split_of(labelled, SQUARE, name) for name in ("test", "train"))
    about = test.describe(3, "noise")
    assert about["fingerprint"] != train.describe(3, "noise")["fingerprint"]
    assert about | {"fingerprint": ""} == {
        "source": "noise",
        "split": "test",
        "fingerprint": "",
        "count": 3,
        "image_shape": [16, 16, 1],
        "preprocessing": {"resize_to": 16},
    }
    assert test._replace(source="photos").describe(3, "noise")["source"] == "photos"


def test_a_run_opens_the_images_of_its_configuration(made, capsys):
    restorer, _, splits = made
    for split in ("test", "train"):
        images = images_of_run(restorer, split)
        expected = getattr(splits, split)
        np.testing.assert_array_equal(images.load(range(8)).images, expected[:8])
    assert not capsys.readouterr().out


def test_images_that_differ_from_the_training_images_are_reported(made, capsys):
    restorer, path, splits = made
    pixels = np.full((9, 16, 16, 1), 7, np.uint8)
    np.savez(path, train_images=pixels, test_images=pixels)
    images_of_run(restorer)
    out = capsys.readouterr().out
    assert "'npz' now gives other images than the run was trained on" in out
    images_of_run(restorer, splits=splits)
    assert not capsys.readouterr().out


def test_missing_images_raise_and_others_can_be_given(made):
    restorer, path, splits = made
    os.unlink(path)
    with pytest.raises(
        InputError, match=r"no file '.*images.npz'.* \(from the configuration of"
    ):
        images_of_run(restorer)
    given = images_of_run(restorer, splits=splits)
    np.testing.assert_array_equal(given.images, splits.test)


def test_images_with_other_channels_raise(made):
    colour = noise(9, 16, 16, 3)
    with pytest.raises(InputError, match=r"with 1 channel\(s\), and these have 3"):
        images_of_run(made[0], splits=arrays(colour, colour))


def test_a_folder_of_images_has_the_channels_and_size_of_the_model(made, tmp_path):
    os.unlink(made[1])
    (tmp_path / "photos").mkdir()
    for i in range(3):
        save_png(str(tmp_path / "photos" / f"{i}.png"), noise(24, 20, 3))
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    path = str(tmp_path / "photos")
    images = images_of_folder(made[0].model, path)
    assert len(images.images) == 3 and images.labels is None
    assert (images.source, images.split) == (path, "")
    assert images.load([2, 0]).images.shape == (2, 16, 16, 1)


def test_a_folder_raises_for_a_conditional_model(made, tmp_path):
    model = build_model(npz_config(made[1], num_classes=10), channels=1)
    with pytest.raises(InputError, match="conditional on classes, and a folder of"):
        images_of_folder(model, str(tmp_path))
    with pytest.raises(InputError, match="no images in this folder"):
        images_of_folder(made[0].model, str(tmp_path))


def test_images_of_a_folder_get_the_endpoints_of_the_run(tmp_path):
    config = animorph.get_config("smoke")
    config.model.channel_multipliers = (1,)
    model = build_model(config, channels=1)
    save_png(str(tmp_path / "0.png"), noise(16, 16, 3))
    batch = images_of_folder(model, str(tmp_path)).load([0])
    assert batch.endpoints.shape == (1, 16, 16, 1)
    blended = model.degrade.with_endpoint(to_float(batch.endpoints))
    x_T = blended(to_float(batch.images), jnp.array(model.degrade.num_steps))
    assert np.isfinite(x_T).all()
