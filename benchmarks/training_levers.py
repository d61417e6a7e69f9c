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

import shutil
import tempfile
import time
from typing import Any

from absl import flags

from benchmarks import levers
from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.data import npz
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.sampling import FLOAT_NOISE
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.evaluator import Evaluator
from colddiff_jax.training.task import (
    build_model_and_task,
)

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
    "consistent": {"model.consistent_noise": (FLOAT_NOISE, 0.01)},
    "precondition, rollouts": {
        "model.precondition": True,
        "objective.rollouts": 0.5,
    },
}


COLUMNS: list[levers.Column] = [
    ("direct: RMSE", ("rmse", "direct"), 3),
    ("SSIM", ("ssim", "direct"), 3),
    ("Algorithm 2: RMSE", ("rmse", "alg2"), 3),
    ("SSIM", ("ssim", "alg2"), 3),
]


def configure(path: str, images: str, lever: str, seed: int) -> Any:
    """Returns the configuration with one lever switched on and the others off."""
    config = levers.read_config(path, images, seed)
    for field, value in (PLAIN | LEVERS[lever]).items():
        section, name = field.split(".")
        config[section][name] = value
    return config


def train(config: Any, num_steps: int) -> dict[str, Any]:
    """Trains for some steps and scores the result."""
    levers.set_length(config, num_steps)
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
    scores = evaluator(restorer.params, levers.NUM_IMAGES.value)
    return {
        "num_steps": num_steps,
        "seconds": round(seconds, 1),
        "test_loss": scores.loss,
        "rmse": scores.rmse,
        "ssim": scores.ssim,
    }


def main(path: str, images: str) -> None:
    """Runs what is missing for the table of one configuration, and prints it."""
    unknown = set(_LEVERS.value) - LEVERS.keys()
    if unknown:
        raise InputError(f"`levers` must be among {list(LEVERS)}, got {min(unknown)!r}")
    splits = npz(path=images)
    configs = {lever: configure(path, images, lever, 0) for lever in LEVERS}
    cost = {
        lever: levers.flops(*build_model_and_task(config, splits=splits))
        for lever, config in configs.items()
    }

    def run(lever: str, seed: int) -> dict[str, Any]:
        num_steps = round(levers.NUM_STEPS.value * cost["plain"] / cost[lever])
        return train(configure(path, images, lever, seed), num_steps)

    found = levers.study(
        "training_levers",
        path,
        _LEVERS.value or LEVERS,
        run,
        flops_over_plain={k: v / cost["plain"] for k, v in cost.items()},
    )
    print(levers.table(found, LEVERS, COLUMNS))


if __name__ == "__main__":
    program.run(main, num_arguments=2)
