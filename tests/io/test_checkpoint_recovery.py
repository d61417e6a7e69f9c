"""Checkpoints of killed processes, on full disks and on several devices."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from colddiff_jax.io.checkpoints import open_checkpoints
from tests.io.states import LIKE, assert_holds, save_steps, state_of

START = """
import os, signal, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
import jax.numpy as jnp
import numpy as np
from colddiff_jax import InputError, devices
from colddiff_jax.io.checkpoints import open_checkpoints
"""


@pytest.fixture
def workdir(tmp_path):
    """A run folder with steps 1, 4 and 5, of which 1 is the best."""
    save_steps(tmp_path / "run", {1: 0.1, 4: 0.4, 5: 0.5})
    return tmp_path / "run"


def script(body, *args, num_devices=1):
    """Starts a script in a new Python process with some devices."""
    return subprocess.Popen(
        [sys.executable, "-c", START + body, str(num_devices), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


SNAPSHOTS = """
import shutil, threading
workdir, copies = sys.argv[2:]
from tests.io.states import state_of
watching, lock, events = False, threading.Lock(), 0
changes = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}

def copy_before_every_change(event, args):
    # Copy the folder as a process killed at this moment would leave it.
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
        except shutil.Error:  # A file was deleted meanwhile; try at the next change.
            shutil.rmtree(f"{copies}/{events}")
        watching = True
    finally:
        lock.release()

sys.addaudithook(copy_before_every_change)
with open_checkpoints(workdir) as saved:
    saved.resume(devices.replicated_like(state_of(0)))
    watching = True
    for step in (6, 7):
        saved.save(state_of(step), step, {"test_loss": 0.6 - step / 100}, {})
    saved.wait()
    watching = False
"""


def test_a_process_killed_before_any_disk_operation_can_be_resumed(workdir, tmp_path):
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


SAVE_FOREVER = """
from tests.io.states import state_of
with open_checkpoints(sys.argv[2]) as saved:
    for step in range(10**6):
        saved.save(state_of(step), step, {"test_loss": abs(step - 7)}, {})
"""


def test_a_killed_process_can_be_resumed(tmp_path):
    for kill in range(2):
        process = script(SAVE_FOREVER, tmp_path)
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
from tests.io.states import state_of
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


def test_a_failed_write_raises_one_error_and_keeps_earlier_checkpoints_intact(
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


RESUME = """
import json
from tests.io.states import LIKE, assert_holds, state_of
with open_checkpoints(sys.argv[2]) as saved:
    state, step = saved.resume(LIKE)
    assert_holds(state, step)
    print(json.dumps([step, len(state["params"]["w"].devices())]))
    saved.save(devices.replicate(state_of(step + 1)), step + 1, None, {})
"""


def test_a_run_can_be_resumed_on_another_number_of_devices(workdir):
    for step, num_devices in ((5, 1), (6, 6), (7, 2)):
        out, _ = output(script(RESUME, workdir, num_devices=num_devices))
        assert json.loads(out) == [step, num_devices]
    with open_checkpoints(str(workdir)) as saved:
        assert_holds(saved.restore_newest(LIKE)[0], 8)


TWO_PROCESSES = """
import json
jax.config.update("jax_cpu_collectives_implementation", "gloo")
workdir, process, address = sys.argv[2:]
jax.distributed.initialize(address, 2, int(process))
from jax.experimental import multihost_utils
from tests.io.states import LIKE, assert_holds, state_of

def resume():
    with open_checkpoints(workdir) as saved:
        state, step = saved.resume(LIKE)
        assert_holds(state, step)
        return step

steps = [resume()]
multihost_utils.sync_global_devices("resumed")
with open_checkpoints(workdir) as saved:
    for step in (6, 7):
        saved.save(devices.replicate(state_of(step)), step, None, {})
multihost_utils.sync_global_devices("saved")
steps.append(resume())
print(json.dumps(steps))
"""


def test_the_first_of_two_processes_saves_and_both_restore(workdir):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        script(TWO_PROCESSES, workdir, i, address, num_devices=2) for i in range(2)
    ]
    for process in processes:
        out, _ = output(process)
        assert json.loads(out.splitlines()[-1]) == [5, 7]
    with open_checkpoints(str(workdir)) as saved:
        assert saved.steps() == [1, 6, 7]
