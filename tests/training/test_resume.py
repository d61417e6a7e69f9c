"""k + k steps equal 2 k steps bit for bit, for all sources and options."""

import os

import chex
import numpy as np
import pytest
from PIL import Image

from colddiff_jax import data
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.training import train_and_evaluate
from configs import mnist_mask

# Resident and streamed images are trained on by different programs.
pytestmark = pytest.mark.usefixtures("optimized")


def everything(num_steps):
    """Returns a configuration with all options of the objective and the optimizer."""
    config = mnist_mask.get_config("smoke")
    config.model.update({"channel_multipliers": (1,), "base_channels": 8})
    config.model.precondition = True
    config.objective.update({"rollouts": 0.5, "input_noise": 0.01})
    config.optimizer.update({"weight_decay": 0.01, "clip_norm": 1.0})
    config.training.num_steps = num_steps
    every_two = dict.fromkeys(("log_every", "evaluate_every", "checkpoint_every"), 2)
    config.training.update(every_two)
    return config


@pytest.fixture(scope="module")
def images(pytestconfig):
    """The folder of the small TFDS set, and its images as arrays."""
    folder = pytestconfig.rootpath / "tests" / "data" / "tfds"
    splits = data.tfds(name="tiny_digits", data_dir=str(folder))
    return str(folder), *(np.stack(list(split)) for split in splits[:2])


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    """Four steps on the same images in memory."""
    workdir = str(tmp_path_factory.mktemp("uninterrupted"))
    _, train, test = images
    return train_and_evaluate(
        everything(4), workdir, splits=data.arrays(train, test)
    ).state


def save_png(folder, pixels):
    folder.mkdir(parents=True)
    for i, image in enumerate(pixels):
        Image.fromarray(image[..., 0]).save(folder / f"{i:05d}.png")


@pytest.fixture
def source(images, tmp_path):
    """Sets a source of the images in a configuration, and returns splits if needed."""
    tfds_folder, train, test = images

    def source(config, name):
        name, _, loading = name.partition(", ")
        if name == "arrays":
            return data.arrays(train, test)
        if name == "folder":
            save_png(tmp_path / "images" / "train", train)
            save_png(tmp_path / "images" / "test", test)
            config.data.update({"path": str(tmp_path / "images"), "channels": 1})
        if name == "npz":
            np.savez(tmp_path / "images.npz", train_images=train, test_images=test)
            config.data.update({"path": str(tmp_path / "images.npz")})
        if name == "tfds":
            config.data.update({"name": "tiny_digits", "data_dir": tfds_folder})
        config.data.source = name
        if loading:
            config.training.resident_mb = 0
            config.training.num_workers = int("worker" in loading)
        return None

    return source


@pytest.mark.parametrize(
    ("first", "second"),
    [("arrays", "folder"), ("npz", "tfds"), ("tfds, streamed", "tfds, by a worker")],
)
def test_two_steps_on_one_source_and_two_on_another_equal_four_bit_for_bit(
    first, second, source, uninterrupted, tmp_path
):
    workdir = str(tmp_path / "run")
    config = everything(2)
    splits = source(config, first)
    train_and_evaluate(config, workdir, splits=splits)
    config = everything(4)
    splits = source(config, second)
    # Forced, since the configured source differs.
    resumed = train_and_evaluate(config, workdir, splits=splits, force=True).state
    chex.assert_trees_all_equal(resumed, uninterrupted)
    assert os.listdir(os.path.join(workdir, "grids"))
    chex.assert_trees_all_equal(load_run(workdir).params, uninterrupted.ema_params)
