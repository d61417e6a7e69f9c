"""Which fields may change when a run is resumed."""

import json

import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment.run_folder import describe, save_description
from colddiff_jax.training.same_run import check_same_run
from configs import digits_blur, mnist_blur


def describe_run(config, data="0" * 64):
    return describe(config, data, None, 1)


def test_lengths_intervals_and_logs_may_change_but_nothing_else(tmp_path):
    config = digits_blur.get_config("smoke")
    check_same_run(describe_run(config), str(tmp_path))  # There is no run yet.
    save_description(describe_run(config), str(tmp_path))
    config.training.num_steps = 99
    config.training.num_workers = 2
    config.logging.tensorboard = True
    check_same_run(describe_run(config), str(tmp_path))
    save_description(describe_run(config), str(tmp_path))
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["config"]["training"]["num_steps"] == 99
    config.seed = 7
    config.optimizer.clip_norm = 1.0
    message = (
        r"configuration \(optimizer.clip_norm: 0.0 -> 1.0; seed: 0 -> 7\); choose "
        "another `workdir`, .* by `force`"
    )
    with pytest.raises(InputError, match=message):
        check_same_run(describe_run(config), str(tmp_path))


def test_images_may_move(tmp_path):
    config = digits_blur.get_config("smoke")
    save_description(describe_run(config), str(tmp_path))
    config.data.path = "elsewhere"
    check_same_run(describe_run(config), str(tmp_path))


def test_other_images_raise(tmp_path):
    config = digits_blur.get_config("smoke")
    save_description(describe_run(config, "a" * 64), str(tmp_path))
    other = describe_run(config, "b" * 64)
    message = r"other images than `data.source` .* was a{12} and is b{12}\)"
    with pytest.raises(InputError, match=message):
        check_same_run(other, str(tmp_path))


def test_another_precision_raises_unless_an_earlier_version_did_not_store_it(tmp_path):
    config = digits_blur.get_config("smoke")
    before = describe_run(config) | {"x64": True}
    save_description(before, str(tmp_path))
    with pytest.raises(InputError, match="jax_enable_x64 = True, which is now False"):
        check_same_run(describe_run(config), str(tmp_path))
    del before["x64"]
    save_description(before, str(tmp_path))
    check_same_run(describe_run(config), str(tmp_path))


@pytest.mark.parametrize("variant", ["smoke", "paper"])
def test_fields_that_an_earlier_version_lacks_count_as_their_defaults(
    tmp_path, variant
):
    config = mnist_blur.get_config(variant)
    before = describe_run(config)
    del before["channels"]
    for name in ("remat", "residual" if variant == "paper" else "zero_output"):
        del before["config"]["model"][name]
    del before["config"]["degradation"]["repeated"]
    fields = before["config"]["data"]
    fields["test_share"] = fields.pop("test_fraction")
    save_description(before, str(tmp_path))
    check_same_run(describe_run(config), str(tmp_path))
    config.model.remat = True
    config.data.test_fraction = 0.2
    with pytest.raises(InputError) as error:
        check_same_run(describe_run(config), str(tmp_path))
    assert "(data.test_fraction: 0.1 -> 0.2; model.remat: False -> True)" in str(
        error.value
    )
