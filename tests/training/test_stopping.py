"""Whatever ends a run, it is saved first and resumes as if nothing had happened."""

import json
import multiprocessing
import os
import pathlib
import signal
import threading
import time

import chex
import pytest

from colddiff_jax import InputError
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.evaluator import Evaluator
from colddiff_jax.training.step_metrics import StepMetrics
from configs import digits_blur
from tests.subprocesses import finish, start


def smoke(**training):
    config = digits_blur.get_config("smoke")
    config.model.update({"channel_multipliers": (1,), "patch_size": 4})
    every = {"log_every": 1, "evaluate_every": 2, "checkpoint_every": 2}
    config.training.update({"num_steps": 4, **every, **training})
    return config


def lines(workdir):
    """The lines of metrics, without those of a run that depend on the time."""
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        found = [json.loads(line) for line in file]
    timed = ("steps_per_second", "waiting_for_data")
    return [{k: v for k, v in line.items() if k not in timed} for line in found]


def scores(workdir):
    with open_checkpoints(str(workdir)) as saved:
        return {step: saved.scores(step) for step in saved.steps()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    return workdir, train_and_evaluate(smoke(), str(workdir)).state


def assert_same(workdir, state, undisturbed):
    expected_workdir, expected = undisturbed
    chex.assert_trees_all_equal(state, expected)
    assert lines(workdir) == lines(expected_workdir)
    assert scores(workdir) == scores(expected_workdir)
    for path in (expected_workdir / "grids").iterdir():
        assert (pathlib.Path(workdir) / "grids" / path.name).read_bytes() == (
            path.read_bytes()
        )


def disturb(monkeypatch, owner, name, number, act):
    """Acts just before the n-th call of a method of the library."""
    real, count = getattr(owner, name), [0]

    def method(self, *arguments, **options):
        count[0] += 1
        if count[0] == number:
            act()
        return real(self, *arguments, **options)

    monkeypatch.setattr(owner, name, method)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


# The method, the number of its call at which SIGTERM arrives, and the step to stop at.
MOMENTS = {
    "in the first step": (StepMetrics, "add", 1, 1),
    "in the step before an evaluation": (StepMetrics, "add", 2, 2),
    "in the last evaluation": (Evaluator, "__call__", 3, 4),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_saves_without_an_evaluation_that_the_resumed_run_makes_up_for(
    moment, undisturbed, tmp_path, monkeypatch, capsys
):
    *call, step = MOMENTS[moment]
    with monkeypatch.context() as patch:
        disturb(patch, *call, terminate)
        stopped = train_and_evaluate(smoke(), str(tmp_path)).state
    assert stopped.step == step
    assert f"stopped and saved at step {step}; run" in capsys.readouterr().out
    assert scores(tmp_path)[step] == {}
    evaluated = [x["step"] for x in lines(tmp_path) if "test_loss" in x]
    assert evaluated == list(range(0, step, 2))
    state = train_and_evaluate(smoke(), str(tmp_path)).state
    assert_same(tmp_path, state, undisturbed)


def test_an_evaluation_that_fails_loses_no_step(tmp_path, monkeypatch, capsys):
    def fail():
        raise InputError("no memory left")

    with monkeypatch.context() as patch:
        disturb(patch, Evaluator, "__call__", 2, fail)
        with pytest.raises(InputError, match="no memory left"):
            train_and_evaluate(smoke(), str(tmp_path))
    assert "saved at step 2; run again to resume" in capsys.readouterr().out
    assert scores(tmp_path)[2] == {}  # As after a signal: due when it resumes.


def test_a_killed_worker_loses_no_step(undisturbed, tmp_path, capsys):
    long = {"num_steps": 10**4, "evaluate_every": 10**4, "checkpoint_every": 10**4}
    config = smoke(resident_mb=0, num_workers=1, **long)

    def kill():
        metrics = tmp_path / "metrics.jsonl"
        while not (metrics.exists() and '"loss"' in metrics.read_text()):
            time.sleep(0.01)
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(InputError, match="a loading process was ended by SIGKILL"):
        train_and_evaluate(config, str(tmp_path))
    thread.join()
    with open_checkpoints(str(tmp_path)) as saved:
        step = saved.steps()[-1]
    assert step > 0
    out = capsys.readouterr().out
    assert f"saved at step {step}; run again to resume" in out
    assert max(x["step"] for x in lines(tmp_path)) == step
    first = [x for x in lines(undisturbed[0]) if "loss" in x]
    assert [x for x in lines(tmp_path) if "loss" in x][: len(first)] == first


UNGUARDED = """
import shutil, sys
import numpy as np
from colddiff_jax import data
from colddiff_jax.training import get_config, train_and_evaluate

workdir = sys.argv[1]
shutil.rmtree(workdir, ignore_errors=True)
config = get_config("digits_blur:smoke")
config.training.update({"resident_mb": 0, "num_workers": 2})
images = np.zeros((64, 64, 64, 1), np.uint8)
train_and_evaluate(config, workdir, splits=data.arrays(images, images))
"""


def test_an_unguarded_script_ends_in_one_error_that_says_what_to_add(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    (tmp_path / "run").mkdir()
    trainer = start(str(script), str(tmp_path / "run"), JAX_PLATFORMS="cpu")
    (output,) = finish([trainer], timeout=120)
    assert trainer.returncode == 1
    assert output.count("Traceback") == 1
    last = output.splitlines()[-1]
    assert "InputError: this script would start again in every loading process" in last
    assert "if __name__ ==" in last and "test loss" not in output
    deadline = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):  # Once its process group is empty.
        while time.monotonic() < deadline:
            os.killpg(trainer.pid, 0)
            time.sleep(0.01)
