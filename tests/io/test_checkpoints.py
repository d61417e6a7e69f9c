"""Checkpoints: which are kept, how they are verified, and recovery from damage."""

import os
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from colddiff_jax import InputError, devices
from colddiff_jax.io.checkpoints import open_checkpoints
from tests.io.states import LIKE, assert_holds, save_steps, state_of


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("pristine")
    save_steps(workdir, {1: 0.1, 4: 0.4, 5: 0.5})
    return workdir


@pytest.fixture
def workdir(pristine, tmp_path):
    """A run folder with steps 1, 4 and 5, of which 1 is the best."""
    shutil.copytree(pristine, tmp_path / "run")
    return tmp_path / "run"


def test_the_last_two_and_the_best_are_kept(tmp_path):
    save_steps(tmp_path, {0: 0.9, 1: 0.2, 2: 0.5, 3: None, 4: 0.6})
    save_steps(tmp_path, {5: 0.7})
    with open_checkpoints(str(tmp_path)) as saved:
        assert saved.steps() == [1, 4, 5]
        assert saved.best_step() == 1
        assert_holds(saved.restore(LIKE, 1), 1)
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["1", "4", "5"]


def test_the_best_checkpoint_may_be_the_first_or_missing(tmp_path):
    with open_checkpoints(str(tmp_path)) as saved:
        assert saved.steps() == [] and saved.best_step() is None
    assert not os.listdir(tmp_path)
    save_steps(tmp_path, {0: 0.1, 3: 0.2})
    with open_checkpoints(str(tmp_path)) as saved:
        assert saved.best_step() == 0


def test_checkpoints_that_cannot_be_listed_raise_one_line(tmp_path):
    (tmp_path / "checkpoints").symlink_to("checkpoints")
    with (
        pytest.raises(InputError, match=r"checkpoints cannot be read \(Too many"),
        open_checkpoints(str(tmp_path)) as saved,
    ):
        saved.steps()


def test_higher_ssim_is_better_and_nan_is_never_best(tmp_path):
    save_steps(tmp_path, {0: 0.1, 1: 0.8, 2: float("nan"), 3: 0.3, 4: 0.2}, "ssim_alg2")
    with open_checkpoints(str(tmp_path), "ssim_alg2") as saved:
        assert saved.steps() == [1, 3, 4]
        assert saved.best_step() == 1
    with open_checkpoints(str(tmp_path), "rmse_alg2") as saved:
        assert saved.best_step() is None
        message = "chosen by 'rmse_alg2'; choose one of ssim_alg2, test_loss"
        with pytest.raises(InputError, match=message):
            saved.save(state_of(5), 5, {"ssim_alg2": 1.0, "test_loss": 0.0}, {})


def test_scores_and_description_are_read_back(tmp_path):
    about = {"config": {"seed": 1}, "data": "sha", "versions": ["0.10"]}
    with open_checkpoints(str(tmp_path)) as saved:
        scores = {"test_loss": np.float32(0.5), "ssim_alg2": jnp.float32(0.25)}
        saved.save(state_of(2), 2, scores, about)
        saved.wait()
        assert saved.about(2) == about
        assert saved.scores(2) == {"test_loss": 0.5, "ssim_alg2": 0.25}


def test_the_state_is_copied_when_save_is_called(tmp_path):
    state = {"x": np.arange(1e6, dtype=np.float32)}
    like = devices.replicated_like(state)
    expected = state["x"].copy()
    with open_checkpoints(str(tmp_path)) as saved:
        saved.save(state, 0, None, {})
        state["x"][:] = -1
        np.testing.assert_array_equal(saved.restore(like, 0)["x"], expected)


def test_a_checkpoint_of_another_network_or_step_raises(workdir):
    with open_checkpoints(str(workdir)) as saved:
        for other, difference in (
            ({}, r"params/b is bfloat16\[5\] in the checkpoint and should be absent"),
            ({"more": np.zeros(1)}, r"more is missing in the .* be float64\[1\]"),
            ({"step": np.zeros(2, np.int32)}, r"step is int32\[\] .* int32\[2\]"),
            ({"step": np.float32(0)}, r"step is int32\[\] .* float32\[\]"),
        ):
            tree = {**state_of(0), **other} if other else {"step": np.int32(0)}
            like = devices.replicated_like(tree)
            message = rf"of step 5 in .* does not fit the .*: {difference}"
            with pytest.raises(InputError, match=message):
                saved.restore(like, 5)
            with pytest.raises(InputError, match=message):
                saved.restore_newest(like)
        with pytest.raises(InputError, match=r"of step 3; it has \[1, 4, 5\]"):
            saved.restore(LIKE, 3)


def test_a_saved_step_is_replaced_only_if_damaged(workdir):
    with open_checkpoints(str(workdir)) as saved:
        saved.save(state_of(9), 5, None, {})
        assert_holds(saved.restore(LIKE, 5), 5)
        (workdir / "checkpoints" / "5" / "scores.json").unlink()
        saved.save(state_of(9), 5, None, {})
        assert_holds(saved.restore(LIKE, 5), 9)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("inflict_damage", [flip, truncate, os.remove])
def test_damage_to_any_file_is_detected_and_the_previous_checkpoint_used(
    workdir, capsys, inflict_damage
):
    newest = workdir / "checkpoints" / "5"
    files = [path for path in newest.rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        whole = path.read_bytes()
        inflict_damage(path)
        name = str(path.relative_to(newest))
        with open_checkpoints(str(workdir)) as saved:
            state, _ = saved.restore_newest(LIKE)
            with pytest.raises(InputError, match=r"step 5 .*; choose another of \[1"):
                saved.about(5)
        assert_holds(state, 4)
        (line,) = capsys.readouterr().out.splitlines()
        what = "missing" if inflict_damage is os.remove else "corrupted"
        # A flipped bit in the manifest may count as damage to the file it describes.
        any_name = inflict_damage is flip and name == "manifest.json"
        reported = ".*" if any_name else re.escape(name)
        expected = rf"damaged: step 5 \({reported} is {what}\); using step 4 instead"
        assert re.fullmatch(f"{workdir}/checkpoints: {expected}", line)
        path.write_bytes(whole)
    with open_checkpoints(str(workdir)) as saved:
        assert saved.restore_newest(LIKE)[1] == 5


def test_resuming_deletes_damaged_checkpoints_so_they_can_be_saved_again(workdir):
    for step in ("4", "5"):
        (workdir / "checkpoints" / step / "manifest.json").unlink()
    with open_checkpoints(str(workdir)) as saved:
        state, step = saved.resume(LIKE)
        assert_holds(state, 1)
        assert step == 1 and saved.steps() == [1]
    save_steps(workdir, {4: 0.4, 5: 0.5})
    with open_checkpoints(str(workdir)) as saved:
        assert saved.steps() == [1, 4, 5]
        assert_holds(saved.restore_newest(LIKE)[0], 5)


def test_nothing_is_deleted_when_all_checkpoints_are_damaged(workdir):
    for step in ("1", "4", "5"):
        (workdir / "checkpoints" / step / "state" / "manifest.ocdbt").unlink()
    with open_checkpoints(str(workdir)) as saved:
        message = r"only damaged checkpoints: step 5 \(state/manifest.ocdbt is missing"
        with pytest.raises(InputError, match=message):
            saved.resume(LIKE)
        assert saved.steps() == [1, 4, 5]


def test_folders_that_are_not_checkpoints_are_ignored(workdir):
    names = ["9.part", "8.deleted", "7.orbax-checkpoint-tmp", "06", "notes"]
    for name in names:
        shutil.copytree(workdir / "checkpoints" / "1", workdir / "checkpoints" / name)
    (workdir / "checkpoints" / "10").mkdir()  # The remains of a deleted one.
    with open_checkpoints(str(workdir)) as saved:
        assert saved.steps() == [1, 4, 5, 10]
        assert saved.restore_newest(LIKE)[1] == 5
        assert set(names) < set(os.listdir(workdir / "checkpoints"))
        assert saved.resume(LIKE)[1] == 5
        assert saved.steps() == [1, 4, 5]
    assert not {"9.part", "8.deleted"} & set(os.listdir(workdir / "checkpoints"))


def test_a_failed_write_does_not_hide_the_original_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ZeroDivisionError),
        open_checkpoints(str(tmp_path / "file")) as saved,
    ):
        saved.save(state_of(0), 0, None, {})
        _ = 1 / 0
    message = (
        "Not a directory; the checkpoints of steps [] are intact; name a folder, not"
    )
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("num_devices", [1, 2, 3])
def test_a_checkpoint_is_restored_on_fewer_devices_than_it_was_saved_on(
    tmp_path, num_devices
):
    with open_checkpoints(str(tmp_path)) as saved:
        saved.save(devices.replicate(state_of(4)), 4, None, {})
    mesh = Mesh(np.asarray(jax.devices()[:num_devices]), ("batch",))
    sharding = NamedSharding(mesh, PartitionSpec())
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), LIKE
    )
    with open_checkpoints(str(tmp_path)) as saved:
        state = saved.restore(like, 4)
    assert_holds(state, 4)
    assert {len(leaf.devices()) for leaf in jax.tree.leaves(state)} == {num_devices}
