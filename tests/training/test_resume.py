"""k + k steps equal 2 k steps bit for bit, for all sources and options."""

import os

import chex
import numpy as np
import pytest
from PIL import Image

from colddiff_jax import data
from colddiff_jax.restoration.load import load_run
from colddiff_jax.training import train_and_evaluate
from configs import mnist_mask

# Resident and streamed images are trained on by different programs.
pytestmark = pytest.mark.usefixtures("optimized")


def everything(num_steps):
    """Returns a configuration with every option of a step, for four devices."""
    config = mnist_mask.get_config("smoke")
    config.model.channel_multipliers = (1,)
    config.model.precondition = True
    config.objective.update({"rollouts": 0.5, "input_noise": 0.01})
    config.optimizer.update({"weight_decay": 0.01, "clip_norm": 1.0})
    config.training.update({"micro_batches": 2, "steps_per_call": 2, "log_every": 2})
    every_two = {"evaluate_every": 2, "checkpoint_every": 2}
    config.training.update({"num_steps": num_steps, **every_two})
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
    return train_and_evaluate(everything(4), workdir, splits=data.arrays(train, test))


def save_png(folder, pixels):
    folder.mkdir(parents=True)
    for i, image in enumerate(pixels):
        Image.fromarray(image[..., 0]).save(folder / f"{i:05d}.png")


SOURCES = ["arrays", "folder", "npz", "tfds", "tfds, streamed", "tfds, by a worker"]


@pytest.mark.parametrize("source", SOURCES)
def test_two_plus_two_steps_equal_four_bit_for_bit(
    source, images, uninterrupted, tmp_path
):
    folder, train, test = images
    config, splits = everything(4), None
    if source == "arrays":
        splits = data.arrays(train, test)
    if source == "folder":
        save_png(tmp_path / "images" / "train", train)
        save_png(tmp_path / "images" / "test", test)
        path = str(tmp_path / "images")
        config.data.update({"source": "folder", "path": path, "channels": 1})
    if source == "npz":
        path = str(tmp_path / "images.npz")
        np.savez(path, train_images=train, test_images=test)
        config.data.update({"source": "npz", "path": path})
    if source.startswith("tfds"):
        config.data.update(
            {"source": "tfds", "name": "tiny_digits", "data_dir": folder}
        )
    if "," in source:
        config.training.resident_mb = 0
        config.training.num_workers = int("worker" in source)
    workdir = str(tmp_path / "run")
    config.training.num_steps = 2
    train_and_evaluate(config, workdir, splits=splits)
    config.training.num_steps = 4
    resumed = train_and_evaluate(config, workdir, splits=splits)
    chex.assert_trees_all_equal(resumed, uninterrupted)
    if splits is None:
        assert os.listdir(os.path.join(workdir, "grids"))
        chex.assert_trees_all_equal(load_run(workdir).params, uninterrupted.ema_params)
