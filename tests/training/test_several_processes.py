"""Two processes train like one, started with train.py."""

import json
import os
import re
import signal
import time

import jax
import numpy as np
import pytest

from colddiff_jax import devices
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.training import train_and_evaluate
from configs import mnist_mask
from tests.subprocesses import free_port, start, succeed


def smoke(num_steps):
    config = mnist_mask.get_config("smoke")
    config.model.channel_multipliers = (1,)
    config.training.num_steps = num_steps
    return config


def start_two(workdir, *arguments):
    """Starts the smoke test in two processes with two devices each."""
    address = f"127.0.0.1:{free_port()}"
    command = ["train.py", "--config=configs/mnist_mask.py:smoke", *arguments]
    command += [f"--workdir={workdir}", "--config.model.channel_multipliers=(1,)"]
    command += [f"--coordinator={address}", "--num_processes=2"]
    environment = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
    return [start(*command, f"--process_id={i}", **environment) for i in range(2)]


def assert_close(params, others):
    """Sums over devices are rounded in another order, which Adam amplifies.

    The differences are up to a hundredth of the total update, about 3e-3.
    """
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(others), strict=True):
        np.testing.assert_allclose(a, b, atol=3e-5)


def test_two_processes_with_two_devices_equal_one_with_four_and_resume_as_one(
    tmp_path,
):
    assert jax.local_device_count() == 4
    workdir = str(tmp_path / "two")
    workers = start_two(workdir)
    alone = train_and_evaluate(smoke(6), str(tmp_path / "one")).state
    first, second = succeed(workers)
    assert "4 cpu device(s), starting at step 0" in first
    assert "step 6/6" in first and "step 6/6" not in second
    assert_close(load_run(workdir).params, alone.ema_params)
    resumed = train_and_evaluate(smoke(8), workdir).state
    assert resumed.step == 8
    devices.assert_replicated(resumed)
    alone = train_and_evaluate(smoke(8), str(tmp_path / "one")).state
    assert_close(resumed.ema_params, alone.ema_params)


def test_ctrl_c_in_one_process_and_its_workers_stops_both_at_the_same_step(tmp_path):
    options = {"num_steps": 10**6, "log_every": 2, "evaluate_every": 10**6}
    options |= {"checkpoint_every": 10**6, "resident_mb": 0, "num_workers": 1}
    trainers = start_two(
        str(tmp_path), *(f"--config.training.{k}={v}" for k, v in options.items())
    )
    deadline = time.monotonic() + 200
    metrics = tmp_path / "metrics.jsonl"
    # Once there is a line with a loss, all processes are past their first step.
    while not (metrics.exists() and '"loss"' in metrics.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(trainers[1].pid, signal.SIGINT)
    first, second = succeed(trainers)
    assert "SIGINT: stopping and saving" in second and "SIGINT" not in first
    assert "leaked" not in first + second
    step = int(re.findall(r"stopped and saved at step (\d+); run again", first)[0])
    assert load_run(str(tmp_path)).step == step > 0
    lines = metrics.read_text().splitlines()
    assert json.loads(lines[-1])["step"] == step
    for trainer in trainers:
        with pytest.raises(ProcessLookupError):  # Once its workers have ended.
            while time.monotonic() < deadline:
                os.killpg(trainer.pid, 0)
                time.sleep(0.1)
