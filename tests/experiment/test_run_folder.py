"""What a run folder knows of its run."""

import importlib.metadata
import json

import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment import run_folder
from colddiff_jax.models.preconditioning import Scales
from colddiff_jax.training.task import build_experiment
from configs import digits_blur, mnist_mask


def describe(config, data="0" * 64, scales=None):
    return run_folder.describe(config, data, scales)


def test_a_saved_configuration_builds_the_same_experiment(tmp_path):
    config = mnist_mask.get_config("smoke")
    run_folder.save_description(describe(config), str(tmp_path))
    loaded = run_folder.load_description(str(tmp_path))["config"]
    before, after = (build_experiment(c) for c in (config, loaded))
    assert before.model == after.model
    assert before.preprocessing == after.preprocessing
    assert before.training == after.training


def test_versions_and_scales_are_kept_to_the_last_bit(tmp_path):
    scales = Scales((0.1, 1 / 3), (1.0, 2 / 3), (0.7, 1e-17))
    about = describe(digits_blur.get_config(), scales=scales)
    assert run_folder.load_scales(str(tmp_path)) is None
    run_folder.save_description(about, str(tmp_path))
    assert run_folder.load_scales(str(tmp_path)) == scales
    versions = run_folder.load_description(str(tmp_path))["versions"]
    assert versions["jax"] == importlib.metadata.version("jax")
    assert versions["orbax-checkpoint"]


def test_lengths_and_looks_may_change_in_a_run_folder_but_nothing_else(tmp_path):
    config = digits_blur.get_config("smoke")
    run_folder.save_description(describe(config), str(tmp_path))
    config.training.num_steps = 99
    config.training.num_workers = 2
    config.logging.tensorboard = True
    run_folder.check_description(describe(config), str(tmp_path))
    run_folder.save_description(describe(config), str(tmp_path))
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["config"]["training"]["num_steps"] == 99
    config.seed = 7
    config.optimizer.clip_norm = 1.0
    with pytest.raises(
        InputError,
        match=r"configuration \(optimizer.clip_norm: 0.0 -> 1.0; seed: 0 -> 7\)",
    ):
        run_folder.check_description(describe(config), str(tmp_path))


def test_images_may_have_moved(tmp_path):
    config = digits_blur.get_config("smoke")
    run_folder.save_description(describe(config), str(tmp_path))
    config.data.path = "elsewhere"
    run_folder.check_description(describe(config), str(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"config": {}}'])
def test_a_damaged_description_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config.json is damaged .*; put about.json"):
        run_folder.load_scales(str(tmp_path))


def test_other_images_are_refused(tmp_path):
    config = digits_blur.get_config("smoke")
    run_folder.save_description(describe(config, "a" * 64), str(tmp_path))
    other = describe(config, "b" * 64)
    with pytest.raises(InputError, match=r"other images .* was a{12} and is b{12}\)"):
        run_folder.check_description(other, str(tmp_path))


def test_folders_without_a_run_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no run folder '.*nowhere'; train one"):
        run_folder.load_description(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"is not a run folder: it has no config.json"):
        run_folder.load_description(str(tmp_path))
