"""Loading the trained model of a run folder or of an exported file."""

import json
import os
import shutil

import chex
import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.data import SOURCES, Batch
from colddiff_jax.experiment.run_folder import describe, save_description
from colddiff_jax.io.model_file import read_model, write_model
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.loading import load_run, output_folder
from colddiff_jax.restoration.restore import restore_images
from configs import digits_blur
from tests.restoration.runs import (
    as_earlier_version,
    npz_config,
    save_images,
    save_run,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with untrained weights as steps 0, 3 and 6; 0 is the best."""
    workdir = tmp_path_factory.mktemp("made") / "run"
    config = digits_blur.get_config("smoke")
    config.model.channel_multipliers = (1,)
    return workdir, save_run(config, workdir, {0: 0.1, 3: 0.3, 6: 0.2})


@pytest.fixture
def run(made, tmp_path):
    """A copy of that folder, to be damaged."""
    shutil.copytree(made[0], tmp_path / "run")
    return tmp_path / "run", made[1]


@pytest.fixture(scope="module", params=["grey", "colour and preconditioned"])
def dataless(request, tmp_path_factory):
    """A run folder and an exported file whose images no longer exist."""
    folder = tmp_path_factory.mktemp("dataless")
    colour = request.param != "grey"
    save_images(folder / "images.npz", channels=3 if colour else 1)
    config = npz_config(folder / "images.npz", precondition=colour)
    state = save_run(config, folder / "run", {3: 0.1})
    os.unlink(folder / "images.npz")
    file = folder / "model.safetensors"
    export_model(load_run(str(folder / "run")), str(file))
    return folder / "run", file, state


@pytest.fixture
def _no_sources(monkeypatch):
    def opened(*args, **kwargs):
        raise AssertionError("a source of images was opened")

    for name in SOURCES:
        monkeypatch.setitem(SOURCES, name, opened)


def restored(restorer):
    """Restores three images with Algorithm 2, four steps."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, *restorer.model.image_shape), np.uint8)

    def sampler(*args, **options):
        return cd.sample_alg2(*args, timesteps=4, **options)

    T = restorer.model.degrade.num_steps
    return restore_images(
        jax.random.key(0), restorer, Batch(pixels), sampler, start=T, batch_size=4
    )


def test_latest_best_and_numbered_checkpoints_are_loaded(run):
    workdir, state = run
    for checkpoint, step in {"latest": 6, "best": 0, "3": 3}.items():
        loaded = load_run(str(workdir), checkpoint)
        assert loaded.step == step
        chex.assert_trees_all_equal(loaded.params, state.ema_params)


def test_latest_skips_a_damaged_checkpoint_and_deletes_nothing(run, capsys):
    workdir, _ = run
    (workdir / "checkpoints" / "6" / "about.json").write_text("?")
    assert load_run(str(workdir)).step == 3
    line = "damaged: step 6 (about.json is corrupted); using step 3 instead"
    assert line in capsys.readouterr().out
    assert sorted(os.listdir(workdir / "checkpoints")) == ["0", "3", "6"]
    message = (
        r"step 6 .* is damaged: about.json is corrupted; choose another of \[0, 3, 6\]"
    )
    with pytest.raises(InputError, match=message):
        load_run(str(workdir), "6")


def test_a_run_without_checkpoints_or_an_unknown_choice_raises(run, tmp_path):
    workdir, _ = run
    with pytest.raises(
        InputError, match=r"must be latest, best or the number .* 'new'"
    ):
        load_run(str(workdir), "new")
    os.mkdir(tmp_path / "other")
    about = describe(digits_blur.get_config("smoke"), "0" * 64, None, 1)
    save_description(about, str(tmp_path / "other"))
    with pytest.raises(InputError, match="no checkpoint yet; continue its training"):
        load_run(str(tmp_path / "other"))
    assert os.listdir(tmp_path / "other") == ["config.json"]


@pytest.mark.usefixtures("_no_sources")
def test_a_run_and_its_file_restore_images_without_data(dataless):
    workdir, file, state = dataless
    results = []
    for path in (workdir, file):
        restorer = load_run(str(path))
        assert restorer.step == 3
        chex.assert_trees_all_equal(restorer.params, state.ema_params)
        results.append(restored(restorer))
    chex.assert_trees_all_equal(*results)
    x_0 = results[0].result.x_0
    assert x_0.shape == (3, *restorer.model.image_shape) and np.isfinite(x_0).all()


@pytest.mark.usefixtures("_no_sources")
def test_a_run_folder_of_an_earlier_version_loads(dataless, tmp_path):
    workdir, _, state = dataless
    shutil.copytree(workdir, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(as_earlier_version(json.loads(path.read_text()))))
    restorer = load_run(str(tmp_path / "run"))
    assert restorer.model.image_shape == load_run(str(workdir)).model.image_shape
    assert restorer.model.config["data"]["test_fraction"] == 0.1
    assert "test_share" not in restorer.model.config["data"]
    chex.assert_trees_all_equal(restorer.params, state.ema_params)
    chex.assert_trees_all_equal(restored(restorer), restored(load_run(str(workdir))))


def test_channels_are_inferred_although_one_checkpoint_is_damaged(run):
    workdir, state = run
    path = workdir / "config.json"
    path.write_text(json.dumps(as_earlier_version(json.loads(path.read_text()))))
    (workdir / "checkpoints" / "0" / "shapes.json").unlink()
    (workdir / "checkpoints" / "6" / "shapes.json").write_text("?")
    restorer = load_run(str(workdir))
    assert restorer.step == 3 and restorer.model.image_shape == (16, 16, 1)
    chex.assert_trees_all_equal(restorer.params, state.ema_params)


def test_a_checkpoint_of_another_network_raises_without_stored_channels(run):
    workdir, _ = run
    path = workdir / "config.json"
    about = as_earlier_version(json.loads(path.read_text()))
    about["config"]["model"]["base_channels"] = 8
    path.write_text(json.dumps(about))
    with pytest.raises(InputError, match="does not fit the network of its config"):
        load_run(str(workdir))


@pytest.mark.usefixtures("_no_sources")
def test_a_file_of_an_earlier_version_loads(dataless, tmp_path):
    _, file, state = dataless
    about, params, _ = read_model(str(file))
    earlier = as_earlier_version(about) | {"channels": about["channels"]}
    path = str(tmp_path / "earlier.safetensors")
    write_model(path, earlier, params)
    restorer = load_run(path)
    chex.assert_trees_all_equal(restorer.params, state.ema_params)
    chex.assert_trees_all_equal(restored(restorer), restored(load_run(str(file))))


def test_restore_fn_is_the_network_and_works_in_samplers(dataless):
    restorer = load_run(str(dataless[0]))
    degrade, shape = restorer.model.degrade, (2, *restorer.model.image_shape)
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    t = np.array([1, 20])
    expected = restorer.model.network.apply({"params": restorer.params}, x, t)
    np.testing.assert_array_equal(restorer.restore_fn(x, t), expected)
    x_T = degrade(x, degrade.num_steps)
    result = jax.jit(cd.sample_alg2)(restorer.restore_fn, degrade, x_T)
    same = cd.sample_alg2(restorer.restore_fn, degrade, x_T)
    assert result.x_0.shape == shape
    np.testing.assert_allclose(result.x_0, same.x_0, atol=1e-5)


def test_results_go_to_the_run_folder_or_next_to_the_file(dataless):
    workdir, file, _ = dataless
    assert output_folder(str(file)) == str(file).removesuffix(".safetensors")
    assert output_folder(str(workdir)) == str(workdir)
