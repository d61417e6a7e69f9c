"""Exporting a trained model as one file."""

import os

import chex
import jax
import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.io.model_file import read_model, write_model
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.loading import load_run
from tests.restoration.runs import npz_config, save_images, save_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A preconditioned, untrained run on images that no longer exist, and its file."""
    folder = tmp_path_factory.mktemp("exported")
    save_images(folder / "images.npz")
    config = npz_config(folder / "images.npz", precondition=True)
    save_run(config, folder / "run", {3: 0.1})
    os.unlink(folder / "images.npz")
    restorer = load_run(str(folder / "run"))
    path = str(folder / "model.safetensors")
    export_model(restorer, path)
    return restorer, path


def test_the_file_restores_like_the_run(exported):
    run, path = exported
    loaded = load_run(path)
    assert loaded.step == run.step == 3
    config = {**run.model.config, "data": {**run.model.config["data"]}}
    folder, config["data"]["path"] = os.path.split(config["data"]["path"])
    assert loaded.model.config == config
    with open(path, "rb") as file:
        assert folder.encode() not in file.read()
    assert loaded.model.scales == run.model.scales
    assert loaded.model.image_shape == run.model.image_shape == (16, 16, 1)
    assert loaded.trained_on == run.trained_on == read_model(path).about["data"]
    chex.assert_trees_all_equal(loaded.params, run.params)
    x, t = np.ones((2, 16, 16, 1), np.float32), np.array([1, 20])
    np.testing.assert_array_equal(loaded.restore_fn(x, t), run.restore_fn(x, t))


def test_half_the_bits_make_half_the_file_and_round_the_weights(exported, tmp_path):
    run, path = exported
    half = str(tmp_path / "half.safetensors")
    export_model(run, half, half=True)
    assert os.path.getsize(half) < 0.6 * os.path.getsize(path)
    loaded = load_run(half)
    for leaf, rounded in zip(
        jax.tree.leaves(run.params), jax.tree.leaves(loaded.params), strict=True
    ):
        assert rounded.dtype == np.float32
        np.testing.assert_array_equal(rounded, np.float32(np.float16(leaf)))


def test_a_file_can_be_exported_again(exported, tmp_path):
    _, path = exported
    again = str(tmp_path / "again.safetensors")
    export_model(load_run(path, "3"), again)
    first, second = read_model(path), read_model(again)
    assert first.about == second.about
    chex.assert_trees_all_equal(first.params, second.params)


@pytest.mark.parametrize("checkpoint", ["best", "4"])
def test_checkpoints_that_a_file_does_not_hold_raise(exported, checkpoint):
    message = f"one checkpoint, of step 3; got `checkpoint` '{checkpoint}'"
    with pytest.raises(InputError, match=message):
        load_run(exported[1], checkpoint)


def test_weights_that_do_not_fit_the_network_raise(exported, tmp_path):
    about, params, _ = read_model(exported[1])
    half = jax.tree.map(lambda x: x[..., : x.shape[-1] // 2], params)
    write_model(str(tmp_path / "half.safetensors"), about, half)
    with pytest.raises(InputError, match=r"half.safetensors' do not fit the network"):
        load_run(str(tmp_path / "half.safetensors"))
