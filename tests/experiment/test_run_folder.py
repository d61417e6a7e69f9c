"""The description of a run in its folder."""

import importlib.metadata
import json

import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment import run_folder
from colddiff_jax.experiment.model import build_model
from colddiff_jax.models.preconditioning import Scales
from configs import digits_blur, mnist_mask


def describe(config, data="0" * 64, scales=None):
    return run_folder.describe(config, data, scales, 1)


def test_a_saved_configuration_builds_the_same_objects(tmp_path):
    config = mnist_mask.get_config("smoke")
    run_folder.save_description(describe(config), str(tmp_path))
    loaded = run_folder.load_description(str(tmp_path))["config"]
    before, after = (build_model(c, channels=1) for c in (config, loaded))
    assert before.network == after.network
    assert hash(before.network) == hash(after.network)
    assert before.preprocessing == after.preprocessing
    assert before.config == after.config


def test_versions_channels_and_scales_are_kept_to_the_last_bit(tmp_path):
    scales = Scales((0.1, 1 / 3), (1.0, 2 / 3), (0.7, 1e-17))
    about = describe(digits_blur.get_config(), scales=scales)
    assert not run_folder.is_run_folder(str(tmp_path))
    run_folder.save_description(about, str(tmp_path))
    assert run_folder.is_run_folder(str(tmp_path))
    loaded = run_folder.load_description(str(tmp_path))
    assert run_folder.scales_of(loaded) == scales
    assert loaded["channels"] == 1 and loaded["data"] == "0" * 64
    assert loaded["versions"]["jax"] == importlib.metadata.version("jax")
    assert loaded["versions"]["orbax-checkpoint"]
    assert run_folder.scales_of(describe(digits_blur.get_config())) is None


def test_a_description_of_an_earlier_version_is_upgraded(tmp_path):
    about = describe(digits_blur.get_config())
    earlier = json.loads(json.dumps(about))
    del earlier["channels"], earlier["x64"]
    for section in ("data", "endpoints"):
        fields = earlier["config"][section]
        fields["test_share"] = fields.pop("test_fraction")
    run_folder.save_description(earlier, str(tmp_path))
    loaded = run_folder.load_description(str(tmp_path))
    assert loaded == about | {"channels": None, "x64": None}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"config": {}}', '{"config": 1}'])
def test_a_damaged_description_raises_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(
        InputError, match=r"config.json is damaged .*; replace it with about.json"
    ):
        run_folder.load_description(str(tmp_path))


def test_folders_without_a_run_raise(tmp_path):
    with pytest.raises(InputError, match=r"no run folder '.*nowhere'; train a model"):
        run_folder.load_description(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"is not a run folder: it has no config.json"):
        run_folder.load_description(str(tmp_path))


def test_a_description_that_cannot_be_read_is_not_called_missing(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(InputError, match=r"config.json cannot be read \(Is a direct"):
        run_folder.load_description(str(tmp_path))
    (tmp_path / "config.json").rmdir()
    (tmp_path / "config.json").symlink_to("config.json")
    with pytest.raises(InputError, match=r"config.json cannot be read \(Too many"):
        run_folder.load_description(str(tmp_path))


def test_a_locked_run_folder_cannot_be_locked_again(tmp_path):
    with (
        run_folder.locked(str(tmp_path)),
        pytest.raises(InputError, match="another process is training in"),
        run_folder.locked(str(tmp_path)),
    ):
        pass
    with run_folder.locked(str(tmp_path)):  # The lock is released.
        pass
