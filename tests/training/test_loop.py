"""The whole loop: it trains, resumes exactly and keeps the right checkpoints."""

import json
import os
import shutil

import chex
import jax
import pytest
from PIL import Image

from colddiff_jax import InputError, devices
from colddiff_jax.data import arrays, digits
from colddiff_jax.evaluation import evaluate_run
from colddiff_jax.experiment.run_folder import locked
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.training import train_and_evaluate
from configs import digits_blur, mnist_mask


def smoke(module=digits_blur, **training):
    config = module.get_config("smoke")
    config.model.channel_multipliers = (1,)
    config.training.update(training)
    return config


def masks(**training):
    return smoke(mnist_mask, micro_batches=2, **training)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run of six steps: random masks, dropout, micro-batches."""
    workdir = str(tmp_path_factory.mktemp("finished"))
    return workdir, train_and_evaluate(masks(), workdir).state


def lines(workdir):
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


def test_a_run_writes_metrics_grids_config_and_checkpoints(finished):
    workdir, state = finished
    assert state.step == 6
    devices.assert_replicated(state)
    assert {"checkpoints", "config.json", "grids", "metrics.jsonl"} == set(
        os.listdir(workdir)
    )
    names = ["step_00000000.png", "step_00000003.png", "step_00000006.png"]
    assert sorted(os.listdir(os.path.join(workdir, "grids"))) == names
    with Image.open(os.path.join(workdir, "grids", names[-1])) as picture:
        assert picture.mode == "RGB" and picture.height == 5 * (2 * 32 + 2)
    trained = [line for line in lines(workdir) if "loss" in line]
    assert [line["step"] for line in trained] == [
        2,
        3,
        4,
        6,
    ]  # 3 is a checkpoint.
    assert {"gradient_norm", "steps_per_second", "waiting_for_data"} < set(trained[0])
    evaluated = [line for line in lines(workdir) if "test_loss" in line]
    assert [line["step"] for line in evaluated] == [0, 3, 6]
    assert evaluated[-1]["test_loss"] < evaluated[0]["test_loss"]
    assert any(name.startswith("test_loss_quarter_") for name in evaluated[0])
    for name in ("degraded", "direct", "alg1", "alg2"):
        assert 0 < evaluated[-1][f"rmse_{name}"] < 1
        assert -1 < evaluated[-1][f"ssim_{name}"] < 1


def test_metrics_of_a_run_agree_with_evaluate_run_on_the_same_images(
    finished, tmp_path
):
    workdir, _ = finished
    logged = [line for line in lines(workdir) if "test_loss" in line]
    for line in logged[-2:]:
        options = {"checkpoint": str(line["step"]), "num_images": 8, "batch_size": 8}
        evaluate_run(workdir, out=str(tmp_path), features=["none"], **options)
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["test_loss"] == pytest.approx(line["test_loss"], abs=1e-6)
        assert list(results["pixels"]) == ["degraded", "direct", "alg1", "alg2"]
        for name, scores in results["pixels"].items():
            for metric in ("rmse", "ssim"):
                expected = pytest.approx(line[f"{metric}_{name}"], abs=1e-6)
                assert scores[metric] == expected


def test_three_plus_three_steps_equal_six_bit_for_bit(finished, tmp_path):
    _, expected = finished
    train_and_evaluate(masks(num_steps=3), str(tmp_path))
    resumed = train_and_evaluate(masks(), str(tmp_path)).state
    chex.assert_trees_all_equal(resumed, expected)
    first, second = lines(finished[0]), lines(str(tmp_path))
    assert {line["step"] for line in first} <= {line["step"] for line in second}
    assert first[-1] == second[-1]


def test_the_saved_state_is_the_returned_one_and_load_run_returns_its_average(finished):
    workdir, state = finished
    run = load_run(workdir)
    assert run.step == 6
    chex.assert_trees_all_equal(run.params, state.ema_params)
    different = jax.tree.map(
        lambda a, b: bool((a != b).any()), run.params, state.params
    )
    assert any(jax.tree.leaves(different))


def test_running_a_finished_run_again_changes_nothing(finished, capsys):
    workdir, state = finished
    before = lines(workdir)
    again = train_and_evaluate(masks(), workdir).state
    assert "nothing to do: training.num_steps = 6 is reached" in capsys.readouterr().out
    chex.assert_trees_all_equal(again, state)
    assert lines(workdir) == before


def test_another_configuration_in_the_same_folder_raises(finished):
    workdir, _ = finished
    config = masks()
    config.optimizer.learning_rate = 0.5
    with pytest.raises(InputError, match=r"\(optimizer.learning_rate: 0.001 -> 0.5\)"):
        train_and_evaluate(config, workdir)


def test_other_images_in_the_same_folder_raise(finished):
    workdir, _ = finished
    splits = digits()
    other = splits._replace(train=255 - splits.train)
    with pytest.raises(InputError, match="holds a run on other images"):
        train_and_evaluate(masks(), workdir, splits=other)


def test_a_forced_run_continues_with_the_new_configuration(finished, tmp_path, capsys):
    workdir = str(tmp_path / "run")
    shutil.copytree(finished[0], workdir)
    config = masks(num_steps=9)
    config.objective.input_noise = 0.1
    state = train_and_evaluate(config, workdir, force=True).state
    assert "resuming at step 6" in capsys.readouterr().out
    assert state.step == 9


def test_a_run_of_an_earlier_version_resumes_without_force(finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    about = json.loads(path.read_text())
    expected = about["config"]
    del about["channels"]
    about["config"] = json.loads(json.dumps(expected))
    for name in ("attention_implementation", "remat", "zero_output"):
        del about["config"]["model"][name]
    for section in ("data", "endpoints"):
        fields = about["config"][section]
        fields["test_share"] = fields.pop("test_fraction")
    path.write_text(json.dumps(about))
    assert load_run(str(tmp_path / "run")).step == 6
    config = masks(num_steps=8)
    state = train_and_evaluate(config, str(tmp_path / "run")).state
    assert "resuming at step 6" in capsys.readouterr().out and state.step == 8
    about = json.loads(path.read_text())
    assert about["channels"] == 1
    expected["training"]["num_steps"] = 8
    assert about["config"] == expected


def test_only_one_process_at_a_time_trains_in_a_run_folder(finished):
    workdir, _ = finished
    message = "another process is training in .*; wait until it ends"
    with locked(workdir), pytest.raises(InputError, match=message):
        train_and_evaluate(masks(), workdir)
    train_and_evaluate(masks(), workdir)  # Released again; nothing to do.


def test_a_forced_run_that_does_not_fit_leaves_the_folder_unchanged(finished):
    workdir, _ = finished
    path = os.path.join(workdir, "config.json")
    with open(path) as file:
        before = file.read()
    config = masks()
    config.model.base_channels = 32
    with pytest.raises(InputError, match="does not fit the network"):
        train_and_evaluate(config, workdir, force=True)
    with open(path) as file:
        assert file.read() == before


def test_resuming_at_a_step_between_two_calls_raises(tmp_path):
    train_and_evaluate(smoke(num_steps=3), str(tmp_path))
    config = smoke(steps_per_call=2, num_steps=8, evaluate_every=4, checkpoint_every=4)
    with pytest.raises(InputError, match=r"step 3, .* multiple of .* = 2; resume"):
        train_and_evaluate(config, str(tmp_path))


def test_a_damaged_newest_checkpoint_is_skipped_and_its_steps_are_repeated(
    finished, tmp_path, capsys
):
    shutil.copytree(finished[0], tmp_path / "run")
    workdir = str(tmp_path / "run")
    (largest,) = sorted(
        (tmp_path / "run" / "checkpoints" / "6" / "state").rglob("d/*"),
        key=lambda path: path.stat().st_size,
    )[-1:]
    damaged = bytearray(largest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    largest.write_bytes(damaged)
    again = train_and_evaluate(masks(), workdir).state
    out = capsys.readouterr().out
    assert "damaged: step 6 (" in out and "using step 3 instead" in out
    assert "resuming at step 3" in out
    chex.assert_trees_all_equal(again, finished[1])
    assert lines(workdir)[-1] == lines(finished[0])[-1]


def test_a_few_images_train_and_a_line_says_how_many_are_scored(tmp_path, capsys):
    whole = digits()
    few = arrays(whole.train[:3], whole.test[:1])
    state = train_and_evaluate(smoke(num_steps=3), str(tmp_path), splits=few)
    assert state.step == 3
    out = capsys.readouterr().out
    expected = (
        "1 test image is put aside; evaluations score 1 instead of evaluation.num"
    )
    assert f"{expected}_images = 8" in out
    assert [line["step"] for line in lines(tmp_path) if "test_loss" in line] == [0, 3]


def test_a_run_folder_that_cannot_be_created_raises_before_any_work(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write to '.*file/run/grids'"):
        train_and_evaluate(smoke(), str(tmp_path / "file" / "run"))


def test_a_torn_description_of_a_run_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"config": {"seed": 0, "da')
    with pytest.raises(InputError, match=r"config.json is damaged .*about.json") as got:
        train_and_evaluate(smoke(), str(tmp_path))
    assert "\n" not in str(got.value)


def test_steps_can_be_profiled(tmp_path):
    train_and_evaluate(smoke(num_steps=12, profile_steps=1), str(tmp_path))
    assert list(tmp_path.glob("profile/**/*.xplane.pb"))


def test_the_progress_line_shows_speed_loss_and_time_left(tmp_path, capsys):
    train_and_evaluate(smoke(num_steps=3, log_every=1), str(tmp_path))
    out = capsys.readouterr().out
    assert "4 cpu device(s), starting at step 0" in out
    line = next(line for line in out.splitlines() if line.startswith("step 2/3"))
    for word in ("loss ", " steps/s", " images/s", " left"):
        assert word in line
    assert "RMSE degraded" in out


def test_a_non_finite_loss_stops_the_run_and_is_never_saved(tmp_path):
    config = smoke(num_steps=6, log_every=6, checkpoint_every=1)
    # The parameters overflow in the next step.
    config.optimizer.update(
        {"learning_rate": 1.0, "warmup_steps": 0, "weight_decay": 1e30}
    )
    with pytest.raises(InputError, match=r"step 1 has a loss of (nan|inf)"):
        train_and_evaluate(config, str(tmp_path))
    with open_checkpoints(str(tmp_path)) as saved:
        assert saved.steps() == [0, 1]  # The state that diverges is itself finite.
