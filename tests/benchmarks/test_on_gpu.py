"""The measurements on a GPU, rehearsed on a CPU."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from benchmarks import gpu_training
from tests.conftest import ROOT


def test_a_part_that_fails_or_hangs_is_counted_and_does_not_lose_the_others(tmp_path):
    parts = ["depthwise:0", "peak:100", "unknown:200", "attention:300"]
    finished = subprocess.run(
        ["sh", "benchmarks/on_gpu.sh", "--rehearse", *parts],
        cwd=ROOT,
        env=os.environ | {"OUT": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    log = (tmp_path / "on_gpu.log").read_text()
    assert finished.returncode == 2, finished.stdout + finished.stderr + log
    found = json.loads((tmp_path / "rehearsal.json").read_text())
    assert found.keys() == {"peak", "attention"}
    assert all(part["finished"] and part["device"] == "cpu" for part in found.values())
    assert found["peak"]["float32"] > 0
    (row,) = (row for name, row in found["attention"].items() if "bfloat16" in name)
    assert row["forward"]["milliseconds"].keys() == {"default", "xla"}
    assert "cudnn" in row["forward"]["errors"]


@pytest.mark.parametrize("sizes", [gpu_training.SMALL, gpu_training.LARGE])
@pytest.mark.parametrize("name", ["cifar", "celeba"])
def test_both_sides_train_the_same_number_of_parameters(name, sizes):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_networks

    experiment = sizes[name]
    with torch.device("meta"):
        make = getattr(torch_networks, experiment.network)
        theirs = sum(p.numel() for p in make(3, **experiment.theirs).parameters())
    x, t = jnp.zeros(experiment.shape), jnp.ones(experiment.batch, jnp.int32)
    network = experiment.module("float32")
    ours = jax.eval_shape(network.init, jax.random.key(0), x, t)
    assert sum(leaf.size for leaf in jax.tree.leaves(ours)) == theirs


def test_eight_steps_in_one_call_are_eight_steps_one_by_one():
    experiment = gpu_training.SMALL["celeba"]
    by_one, by_eight = (gpu_training.Ours(experiment, "float32") for _ in range(2))
    by_one.run(1, gpu_training.STEPS)
    by_eight.run(gpu_training.STEPS, gpu_training.STEPS)
    assert by_one.state.step == by_eight.state.step == gpu_training.STEPS
    for one, eight in zip(
        jax.tree.leaves(by_one.state.ema_params),
        jax.tree.leaves(by_eight.state.ema_params),
        strict=True,
    ):
        assert jnp.allclose(one, eight, rtol=1e-5, atol=1e-7)
