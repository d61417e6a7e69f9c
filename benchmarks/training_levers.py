"""Measures noise, rollouts, preconditioning and consistency at equal compute.

    python -m benchmarks.training_levers configs/mnist_blur.py:cpu mnist.npz
    python -m benchmarks.training_levers CONFIG IMAGES.npz --levers=plain,noise

Trains the network of the configuration once per lever and seed. All runs cost the
floating-point operations of --num_steps plain steps, as counted by XLA, and decay the
learning rate to zero. Then each restores the first test images by the direct
prediction, Algorithm 1 and Algorithm 2. The results of a configuration are collected in
benchmarks/results/training_levers/NAME.json after each run, so that the same command
resumes an interrupted study, and are printed as a table.
"""

import json
import os
import runpy
import shutil
import tempfile
import time
from typing import Any

import jax
import numpy as np
from absl import flags

from benchmarks import timing
from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.data import Batch, npz
from colddiff_jax.experiment.model import Model
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.prng import stream
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.evaluator import Evaluator
from colddiff_jax.training.task import (
    Task,
    build_model_and_task,
    initial_state,
    train_step,
)

_NUM_STEPS = flags.DEFINE_integer("num_steps", 600, "steps of the plain runs", 1)
_SEEDS = flags.DEFINE_integer("seeds", 2, "runs per lever", 1)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 512, "test images to restore", 1)
_LEVERS = flags.DEFINE_list("levers", [], "levers to measure; empty for all")

PLAIN = {
    "objective.input_noise": 0.0,
    "objective.rollouts": 0.0,
    "model.precondition": False,
    "model.consistent_noise": (),
}
LEVERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "noise": {"objective.input_noise": 0.02},
    "rollouts": {"objective.rollouts": 0.5},
    "precondition": {"model.precondition": True},
    "consistent": {"model.consistent_noise": (0.0001, 0.01)},
    "precondition, rollouts": {
        "model.precondition": True,
        "objective.rollouts": 0.5,
    },
}


def read_config(path: str, images: str, seed: int) -> Any:
    """Returns a configuration for other images and another seed."""
    path, _, variant = path.partition(":")
    config = runpy.run_path(path)["get_config"](variant or None)
    config.seed = seed
    config.data.update({"source": "npz", "path": images})
    return config


def configure(path: str, images: str, lever: str, seed: int) -> Any:
    """Returns the configuration with one lever switched on and the others off."""
    config = read_config(path, images, seed)
    for field, value in (PLAIN | LEVERS[lever]).items():
        section, name = field.split(".")
        config[section][name] = value
    return config


def flops(model: Model, task: Task) -> float:
    """Returns the floating-point operations of one training step, counted by XLA."""
    shape = (task.training.batch_size, *model.image_shape)
    state = jax.eval_shape(lambda: initial_state(model, task))
    lowered = jax.jit(train_step(model, task)).lower(
        state,
        Batch(np.zeros(shape, np.uint8)),
        model.degrade,
        stream(task.seed, "train"),
    )
    return lowered.cost_analysis()["flops"]


def set_length(config: Any, num_steps: int) -> None:
    """Sets a run of some steps, with few evaluations."""
    config.optimizer.update({"warmup_steps": num_steps // 10, "decay_steps": num_steps})
    config.training.update(
        {
            "num_steps": num_steps,
            "evaluate_every": num_steps,
            "checkpoint_every": num_steps,
        }
    )
    config.evaluation.update({"num_images": 64, "batch_size": 64})


def train(config: Any, num_steps: int) -> dict[str, Any]:
    """Trains for some steps and scores the result."""
    set_length(config, num_steps)
    workdir = tempfile.mkdtemp()
    try:
        start = time.perf_counter()
        train_and_evaluate(config, workdir)
        seconds = time.perf_counter() - start
        restorer = load_run(workdir)
    finally:
        shutil.rmtree(workdir)
    evaluator = Evaluator(
        restorer.model, images_of_run(restorer), seed=config.seed, batch_size=128
    )
    scores = evaluator(restorer.params, _NUM_IMAGES.value)
    return {
        "num_steps": num_steps,
        "seconds": round(seconds, 1),
        "test_loss": scores.loss,
        "rmse": scores.rmse,
        "ssim": scores.ssim,
    }


def table(found: dict[str, Any]) -> str:
    """Returns the means over seeds and their largest deviations, as Markdown."""
    lines = [
        "| | steps | direct: RMSE | SSIM | Algorithm 2: RMSE | SSIM |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for lever in LEVERS:
        runs = [run for name, run in found["runs"].items() if _lever(name) == lever]
        if not runs:
            continue
        cells = [lever, str(runs[0]["num_steps"])]
        for method in ("direct", "alg2"):
            for score in ("rmse", "ssim"):
                values = [run[score][method] for run in runs]
                mean = sum(values) / len(values)
                deviation = max(abs(value - mean) for value in values)
                cells.append(f"{mean:.3f} ± {deviation:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _lever(run: str) -> str:
    return run.rpartition(", seed ")[0]


def main(path: str, images: str) -> None:
    """Runs what is missing for the table of one configuration, and prints it."""
    unknown = set(_LEVERS.value) - LEVERS.keys()
    if unknown:
        raise InputError(f"`levers` must be among {list(LEVERS)}, got {min(unknown)!r}")
    stem = os.path.basename(path).replace(".py", "").replace(":", "_")
    result = timing.RESULTS / "training_levers" / f"{stem}.json"
    result.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"runs": {}}
    if result.exists():
        found = json.loads(result.read_text())
    splits = npz(path=images)
    configs = {lever: configure(path, images, lever, 0) for lever in LEVERS}
    cost = {
        lever: flops(*build_model_and_task(config, splits=splits))
        for lever, config in configs.items()
    }
    for seed in range(_SEEDS.value):
        for lever in _LEVERS.value or LEVERS:
            name = f"{lever}, seed {seed}"
            if name in found["runs"]:
                continue
            num_steps = round(_NUM_STEPS.value * cost["plain"] / cost[lever])
            print(f"{name}: {num_steps} steps", flush=True)
            found["runs"][name] = train(configure(path, images, lever, seed), num_steps)
            found |= {
                "command": f"python -m benchmarks.training_levers {path} IMAGES.npz "
                f"--num_steps={_NUM_STEPS.value} --seeds={_SEEDS.value}",
                "machine": timing.machine(),
                "num_images": _NUM_IMAGES.value,
                "flops_over_plain": {k: v / cost["plain"] for k, v in cost.items()},
            }
            write_atomically(str(result), (json.dumps(found, indent=2) + "\n").encode())
    print(table(found))


if __name__ == "__main__":
    program.run(main, num_arguments=2)
