"""Checkpoints are kept, checked, passed over when damaged, and survive a full disk."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from colddiff_jax import InputError, parallel
from colddiff_jax.checkpoints import open_checkpoints

START = """
import os, signal, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
import jax.numpy as jnp
import numpy as np
from colddiff_jax import InputError, parallel
from colddiff_jax.checkpoints import open_checkpoints
"""


def script(body, *args, devices=1):
    """Starts a Python process of its own, with that many devices."""
    return subprocess.Popen(
        [sys.executable, "-c", START + body, str(devices), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def state_of(step):
    """A state that tells its step, large and odd enough to fill several files."""
    noise = np.random.default_rng(step).normal(size=(60, 30))
    return {
        "step": np.int32(step),
        "params": {"w": noise.astype(np.float32), "b": np.full(5, step, jnp.bfloat16)},
    }


LIKE = parallel.replicated_like(state_of(0))


def save_steps(workdir, losses, best_by="test_loss"):
    with open_checkpoints(str(workdir), best_by) as saved:
        for step, loss in losses.items():
            scores = None if loss is None else {best_by: loss}
            saved.save(state_of(step), step, scores, {"step": step})


def assert_holds(state, step):
    parallel.assert_replicated(state)
    assert jax.tree.all(
        jax.tree.map(lambda a, b: bool((a == b).all()), state, state_of(step))
    )


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


def test_the_best_may_be_the_very_first_or_there_may_be_none(tmp_path):
    with open_checkpoints(str(tmp_path)) as saved:
        assert saved.steps() == [] and saved.best_step() is None
    assert not os.listdir(tmp_path)
    save_steps(tmp_path, {0: 0.1, 3: 0.2})
    with open_checkpoints(str(tmp_path)) as saved:
        assert saved.best_step() == 0


def test_ssim_is_better_when_higher_and_nan_is_never_best(tmp_path):
    save_steps(tmp_path, {0: 0.1, 1: 0.8, 2: float("nan"), 3: 0.3, 4: 0.2}, "ssim_alg2")
    with open_checkpoints(str(tmp_path), "ssim_alg2") as saved:
        assert saved.steps() == [1, 3, 4]
        assert saved.best_step() == 1
    with open_checkpoints(str(tmp_path), "rmse_alg2") as saved:
        assert saved.best_step() is None
        message = "chosen by 'rmse_alg2'; choose one of ssim_alg2, test_loss"
        with pytest.raises(InputError, match=message):
            saved.save(state_of(5), 5, {"ssim_alg2": 1.0, "test_loss": 0.0}, {})


def test_scores_and_what_is_said_about_a_step_are_read_back(tmp_path):
    about = {"config": {"seed": 1}, "data": "sha", "versions": ["0.10"]}
    with open_checkpoints(str(tmp_path)) as saved:
        scores = {"test_loss": np.float32(0.5), "ssim_alg2": jnp.float32(0.25)}
        saved.save(state_of(2), 2, scores, about)
        saved.wait()
        assert saved.about(2) == about
        assert saved.scores(2) == {"test_loss": 0.5, "ssim_alg2": 0.25}


def test_what_is_saved_is_the_state_at_the_time_of_the_call(tmp_path):
    state = {"x": np.arange(1e6, dtype=np.float32)}
    like = parallel.replicated_like(state)
    expected = state["x"].copy()
    with open_checkpoints(str(tmp_path)) as saved:
        saved.save(state, 0, None, {})
        state["x"][:] = -1
        np.testing.assert_array_equal(saved.restore(like, 0)["x"], expected)


def test_a_checkpoint_of_another_network_or_step_is_named(workdir):
    with open_checkpoints(str(workdir)) as saved:
        for other, difference in (
            ({}, r"params/b is bfloat16\[5\] in it and should be None"),
            ({"more": np.zeros(1)}, r"more is None in it and should be float64\[1\]"),
            ({"step": np.zeros(2, np.int32)}, r"step is int32\[\] .* int32\[2\]"),
            ({"step": np.float32(0)}, r"step is int32\[\] .* float32\[\]"),
        ):
            tree = {**state_of(0), **other} if other else {"step": np.int32(0)}
            like = parallel.replicated_like(tree)
            message = rf"of step 5 in .* does not fit the .*: {difference}"
            with pytest.raises(InputError, match=message):
                saved.restore(like, 5)
            with pytest.raises(InputError, match=message):
                saved.restore_newest(like)
        with pytest.raises(InputError, match=r"of step 3; it has \[1, 4, 5\]"):
            saved.restore(LIKE, 3)


def test_saving_a_step_that_is_there_changes_nothing_unless_it_is_damaged(workdir):
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


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [flip, cut, os.remove])
def test_harm_to_any_file_of_the_newest_is_seen_and_the_one_before_is_used(
    workdir, capsys, harm
):
    newest = workdir / "checkpoints" / "5"
    files = [path for path in newest.rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        whole = path.read_bytes()
        harm(path)
        name = str(path.relative_to(newest))
        with open_checkpoints(str(workdir)) as saved:
            state, _ = saved.restore_newest(LIKE)
            with pytest.raises(InputError, match=r"step 5 .*; choose another of \[1"):
                saved.about(5)
        assert_holds(state, 4)
        (line,) = capsys.readouterr().out.splitlines()
        what = "missing" if harm is os.remove else "not what was written"
        # A flipped bit of the manifest accuses the file whose line it is in.
        named = ".*" if (harm, name) == (flip, "manifest.json") else re.escape(name)
        expected = rf"damaged: step 5 \({named} is {what}\); using step 4 instead"
        assert re.fullmatch(f"{workdir}/checkpoints: {expected}", line)
        path.write_bytes(whole)
    with open_checkpoints(str(workdir)) as saved:
        assert saved.restore_newest(LIKE)[1] == 5


def test_a_resumed_run_deletes_what_was_damaged_and_saves_it_anew(workdir):
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


def test_folders_that_are_no_checkpoints_are_passed_over(workdir):
    names = ["9.part", "8.deleted", "7.orbax-checkpoint-tmp", "06", "notes"]
    for name in names:
        shutil.copytree(workdir / "checkpoints" / "1", workdir / "checkpoints" / name)
    (workdir / "checkpoints" / "10").mkdir()  # All that is left of a deleted one.
    with open_checkpoints(str(workdir)) as saved:
        assert saved.steps() == [1, 4, 5, 10]
        assert saved.restore_newest(LIKE)[1] == 5
        assert set(names) < set(os.listdir(workdir / "checkpoints"))
        assert saved.resume(LIKE)[1] == 5
        assert saved.steps() == [1, 4, 5]
    assert not {"9.part", "8.deleted"} & set(os.listdir(workdir / "checkpoints"))


SNAPSHOTS = """
import shutil, threading
workdir, copies = sys.argv[2:]
from tests.test_checkpoints import state_of
watching, lock, events = False, threading.Lock(), 0
changes = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}

def copy_before_every_change(event, args):
    # The folder as a process would leave it that is killed at this very moment.
    global watching, events
    if not watching or event not in changes or event == "open" and args[1] == "r":
        return
    if not lock.acquire(blocking=False):
        return
    try:
        watching = False
        events += 1
        try:
            shutil.copytree(workdir, f"{copies}/{events}")
        except shutil.Error:  # A file went meanwhile; the next moment will do.
            shutil.rmtree(f"{copies}/{events}")
        watching = True
    finally:
        lock.release()

sys.addaudithook(copy_before_every_change)
with open_checkpoints(workdir) as saved:
    saved.resume(parallel.replicated_like(state_of(0)))
    watching = True
    for step in (6, 7):
        saved.save(state_of(step), step, {"test_loss": 0.6 - step / 100}, {})
    saved.wait()
    watching = False
"""


def test_a_process_killed_before_any_change_of_the_disk_can_be_resumed(
    workdir, tmp_path
):
    copies = tmp_path / "copies"
    copies.mkdir()
    output(script(SNAPSHOTS, workdir, copies))
    seen = set()
    for copy in copies.iterdir():
        with open_checkpoints(str(copy)) as saved:
            state, step = saved.resume(LIKE)
            assert_holds(state, step)
            assert saved.best_step() == 1
            saved.save(state_of(step + 1), step + 1, None, {})
            saved.wait()
            assert_holds(*saved.restore_newest(LIKE))
            assert saved.steps() == [1, step, step + 1]
        assert all(name.isdecimal() for name in os.listdir(copy / "checkpoints"))
        seen.add(step)
    assert seen == {5, 6, 7} and len(os.listdir(copies)) > 40


SAVE_FOR_EVER = """
from tests.test_checkpoints import state_of
with open_checkpoints(sys.argv[2]) as saved:
    for step in range(10**6):
        saved.save(state_of(step), step, {"test_loss": abs(step - 7)}, {})
"""


def test_a_killed_process_leaves_a_folder_from_which_the_next_resumes(tmp_path):
    for kill in range(2):
        process = script(SAVE_FOR_EVER, tmp_path)
        while not (tmp_path / "checkpoints" / str(9 + 9 * kill)).exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.0137)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with open_checkpoints(str(tmp_path)) as saved:
            state, step = saved.resume(LIKE)
            assert_holds(state, step)
            assert step >= 9 and saved.best_step() == 7


FULL_DISK = """
import resource
from tests.test_checkpoints import state_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

for size in (4000, 500, 50, 0):
    limit(resource.RLIM_INFINITY)
    with open_checkpoints(sys.argv[2]) as saved:
        limit(size)
        saved.save(state_of(6), 6, None, {})
        try:
            saved.save(state_of(7), 7, None, {})
        except InputError as error:
            limit(resource.RLIM_INFINITY)
            print(error)
        print(saved.steps(), os.listdir(saved.folder))
limit(50)
try:
    with open_checkpoints(sys.argv[2]) as saved:
        saved.save(state_of(6), 6, None, {})
except InputError as error:
    limit(resource.RLIM_INFINITY)
    print(error)
"""


def test_a_disk_that_refuses_is_one_error_and_leaves_the_last_checkpoint_intact(
    workdir,
):
    out, err = output(script(FULL_DISK, workdir))
    error = (
        f"cannot save step 6 in {workdir}/checkpoints: File too large; the "
        "checkpoints of steps [1, 4, 5] are intact; raise the limit on the size of "
        "files (ulimit -f) and run again"
    )
    *lines, last = out.splitlines()
    assert len(lines) == 8 and {*lines[::2], last} == {error}
    for line in lines[1::2]:
        assert re.findall(r"\d+", line[:9]) == ["1", "4", "5"] and "6" not in line
    assert "ERROR:absl" not in err
    with open_checkpoints(str(workdir)) as saved:
        assert_holds(saved.restore_newest(LIKE)[0], 5)


def test_a_refusal_does_not_hide_the_error_that_ends_the_run(tmp_path, capsys):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ZeroDivisionError),
        open_checkpoints(str(tmp_path / "file")) as saved,
    ):
        saved.save(state_of(0), 0, None, {})
        _ = 1 / 0
    out = capsys.readouterr().out
    refusal = (
        "Not a directory; the checkpoints of steps [] are intact; name a folder, not"
    )
    assert refusal in out


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_a_checkpoint_is_restored_on_fewer_devices_than_it_was_saved_on(
    tmp_path, devices
):
    with open_checkpoints(str(tmp_path)) as saved:
        saved.save(parallel.replicate(state_of(4)), 4, None, {})
    mesh = Mesh(np.asarray(jax.devices()[:devices]), ("batch",))
    sharding = NamedSharding(mesh, PartitionSpec())
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), LIKE
    )
    with open_checkpoints(str(tmp_path)) as saved:
        state = saved.restore(like, 4)
    assert_holds(state, 4)
    assert {len(leaf.devices()) for leaf in jax.tree.leaves(state)} == {devices}


CONTINUE = """
import json
from tests.test_checkpoints import LIKE, assert_holds, state_of
with open_checkpoints(sys.argv[2]) as saved:
    state, step = saved.resume(LIKE)
    assert_holds(state, step)
    print(json.dumps([step, len(state["params"]["w"].devices())]))
    saved.save(parallel.replicate(state_of(step + 1)), step + 1, None, {})
"""


def test_a_run_goes_on_with_another_number_of_devices_each_time(workdir):
    for step, devices in ((5, 1), (6, 6), (7, 2)):
        out, _ = output(script(CONTINUE, workdir, devices=devices))
        assert json.loads(out) == [step, devices]
    with open_checkpoints(str(workdir)) as saved:
        assert_holds(saved.restore_newest(LIKE)[0], 8)


TOGETHER = """
import json
jax.config.update("jax_cpu_collectives_implementation", "gloo")
workdir, number, address = sys.argv[2:]
jax.distributed.initialize(address, 2, int(number))
from jax.experimental import multihost_utils
from tests.test_checkpoints import LIKE, assert_holds, state_of

def resume():
    with open_checkpoints(workdir) as saved:
        state, step = saved.resume(LIKE)
        assert_holds(state, step)
        return step

steps = [resume()]
multihost_utils.sync_global_devices("resumed")
with open_checkpoints(workdir) as saved:
    for step in (6, 7):
        saved.save(parallel.replicate(state_of(step)), step, None, {})
multihost_utils.sync_global_devices("saved")
steps.append(resume())
print(json.dumps(steps))
"""


def test_of_two_processes_the_first_saves_and_both_restore(workdir):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [script(TOGETHER, workdir, i, address, devices=2) for i in range(2)]
    for process in processes:
        out, _ = output(process)
        assert json.loads(out.splitlines()[-1]) == [5, 7]
    with open_checkpoints(str(workdir)) as saved:
        assert saved.steps() == [1, 6, 7]
