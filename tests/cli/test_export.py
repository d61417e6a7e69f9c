"""A run as one file, which does all that the run folder does."""

import os

import chex
import jax
import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.cli.export import export_model
from colddiff_jax.data import arrays
from colddiff_jax.experiment.run_folder import describe, save_description
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.io.model_file import read_model, write_model
from colddiff_jax.restoration.load import load_run, outputs_of
from colddiff_jax.training.task import build_experiment
from configs import digits_blur


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A preconditioned, untrained run on images that are gone, and its file."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16, 16, 1), np.uint8)
    np.savez(folder / "images.npz", train_images=images[:32], test_images=images[32:])
    config = digits_blur.get_config("smoke")
    config.data.update({"source": "npz", "path": str(folder / "images.npz")})
    config.model.update({"channel_multipliers": (1,), "precondition": True})
    experiment = build_experiment(config)
    workdir = str(folder / "run")
    os.mkdir(workdir)
    about = describe(config, experiment.fingerprint(), experiment.scales)
    save_description(about, workdir)
    with open_checkpoints(workdir) as saved:
        saved.save(experiment.start(), 3, {"test_loss": 0.1}, about)
    run = load_run(workdir)
    path = str(folder / "model.safetensors")
    export_model(run, path)
    os.unlink(folder / "images.npz")
    return run, path, arrays(images[:32], images[32:])


def test_the_file_is_the_run_without_its_images(made):
    run, path, splits = made
    with pytest.raises(
        InputError, match=r"no file '.*images.npz'.* \(as .*tensors has"
    ):
        load_run(path)
    loaded = load_run(path, splits=splits)
    assert (loaded.step, loaded.config) == (run.step, run.config)
    assert loaded.experiment.scales == run.experiment.scales
    chex.assert_trees_all_equal(loaded.params, run.params)
    x, t = np.ones((2, 16, 16, 1), np.float32), np.array([1, 20])
    restored = (
        r.experiment.model.apply({"params": r.params}, x, t) for r in (loaded, run)
    )
    np.testing.assert_array_equal(*restored)


def test_other_images_than_those_of_training_are_told(made, capsys):
    run, path, splits = made
    loaded = load_run(path, splits=splits)
    assert loaded.trained_on == run.trained_on == read_model(path).about["data"]
    others = run.config["data"]["path"]
    pixels = np.full((9, 16, 16, 1), 7, np.uint8)
    np.savez(others, train_images=pixels, test_images=pixels)
    capsys.readouterr()
    load_run(path)
    said = capsys.readouterr().out
    assert "'npz' gives other images now than the run was trained on" in said
    load_run(path, splits=splits)
    assert not capsys.readouterr().out
    os.unlink(others)


def test_a_file_can_be_exported_again(made, tmp_path):
    _, path, splits = made
    again = str(tmp_path / "again.safetensors")
    export_model(load_run(path, "3", splits=splits), again)
    one, two = read_model(path), read_model(again)
    assert one.about == two.about
    chex.assert_trees_all_equal(one.params, two.params)


def test_what_a_file_cannot_give_is_refused(made, tmp_path):
    _, path, splits = made
    for checkpoint in ("best", "4"):
        with pytest.raises(InputError, match="one checkpoint, that of step 3, got"):
            load_run(path, checkpoint, splits=splits)
    colour = np.zeros((9, 16, 16, 3), np.uint8)
    with pytest.raises(InputError, match=r"images of 1 channel\(s\), and these have 3"):
        load_run(path, splits=arrays(colour, colour))
    about, params = read_model(path)
    half = jax.tree.map(lambda x: x[..., : x.shape[-1] // 2], params)
    write_model(str(tmp_path / "half.safetensors"), about, half)
    with pytest.raises(InputError, match=r"half.safetensors' do not fit the network"):
        load_run(str(tmp_path / "half.safetensors"), splits=splits)


def test_what_a_run_restores_goes_beside_its_file(made, tmp_path):
    assert outputs_of(made[1]) == made[1].removesuffix(".safetensors")
    assert outputs_of(str(tmp_path)) == str(tmp_path)
