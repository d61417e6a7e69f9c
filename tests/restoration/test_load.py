"""Loading a run folder for sampling."""

import os
import shutil

import chex
import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment.run_folder import describe, save_description
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.restoration.load import load_run
from colddiff_jax.training.task import build_experiment
from configs import digits_blur


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with untrained weights as steps 0, 3 and 6; 0 is the best."""
    workdir = tmp_path_factory.mktemp("made")
    config = digits_blur.get_config("smoke")
    config.model.channel_multipliers = (1,)
    save_description(describe(config, "0" * 64, None), str(workdir))
    experiment = build_experiment(config)
    state = experiment.start()
    with open_checkpoints(str(workdir)) as saved:
        for step, loss in {0: 0.1, 3: 0.3, 6: 0.2}.items():
            state = state.replace(step=state.step * 0 + step)
            saved.save(state, step, {"test_loss": loss}, {})
    return workdir, state


@pytest.fixture
def run(made, tmp_path):
    """A copy of that folder, to be damaged."""
    shutil.copytree(made[0], tmp_path / "run")
    return tmp_path / "run", made[1]


def test_latest_best_and_numbered_checkpoints_are_loaded(run):
    workdir, state = run
    for checkpoint, step in {"latest": 6, "best": 0, "3": 3}.items():
        loaded = load_run(str(workdir), checkpoint)
        assert loaded.step == step
        chex.assert_trees_all_equal(loaded.params, state.ema_params)


def test_latest_passes_over_a_damaged_checkpoint_and_deletes_nothing(run, capsys):
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


def test_a_run_without_checkpoints_or_with_an_odd_choice_is_refused(run, tmp_path):
    workdir, _ = run
    with pytest.raises(
        InputError, match=r"must be latest, best or the number .* 'new'"
    ):
        load_run(str(workdir), "new")
    os.mkdir(tmp_path / "other")
    about = describe(digits_blur.get_config("smoke"), "0" * 64, None)
    save_description(about, str(tmp_path / "other"))
    with pytest.raises(InputError, match="no checkpoint yet; train it further"):
        load_run(str(tmp_path / "other"))
    assert os.listdir(tmp_path / "other") == ["config.json"]
