"""Measures changes to training that could help Algorithm 2, at equal compute.

    python -m benchmarks.walk_levers configs/mnist_blur.py:cpu mnist.npz
    python -m benchmarks.walk_levers configs/mnist_pixelate.py:cpu mnist.npz

    plain          the configuration itself, with the absolute error
    l2             the squared error
    perturbed      inputs x_t + D(e, t) - D(e, T), e ~ N(0, 0.28^2): what an error e of
                   every prediction would leave in the x_t of Algorithm 2
    late rollouts  from 60 % of the steps on, half of the inputs are one step of
                   Algorithm 2 from a later t, by the network itself
    late trajectories
                   from 60 % of the steps on, half a batch of inputs is added: random
                   steps of Algorithm 2 from x_T, by the averaged weights

All runs cost the floating-point operations of --num_steps plain steps, as counted by
XLA, and decay the learning rate to zero. The first test images are then scored by RMSE,
SSIM and the Frechet distance on the features of a classifier. The results of a
configuration are collected in benchmarks/results/walk_levers/NAME.json after each run,
so that the same command resumes an interrupted study.
"""

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from typing import Any, Self

import chex
import jax
import jax.numpy as jnp

from benchmarks import late_trajectories, levers
from colddiff_jax import prng
from colddiff_jax.cli import program
from colddiff_jax.data import npz
from colddiff_jax.degradations.base import Degradation, keep_clean
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.evaluate import evaluate
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.task import build_model_and_task

LEVERS = ("plain", "l2", "perturbed", "late rollouts", "late trajectories")
LATE = 0.6  # The fraction of the steps before rollouts begin.
ERROR_STD = 0.28  # Twice the RMSE of direct predictions: images lie in [-1, 1].
SAMPLERS = ("direct", "alg2", "alg2:5", "alg2+consistent:5")
COLUMNS: list[levers.Column] = [
    ("direct: RMSE", ("scores", "direct", "rmse"), 3),
    ("Frechet", ("scores", "direct", "frechet"), 1),
    ("Algorithm 2: RMSE", ("scores", "alg2", "rmse"), 3),
    ("Frechet", ("scores", "alg2", "frechet"), 1),
    ("5 steps, consistent: RMSE", ("scores", "alg2+consistent:5", "rmse"), 3),
    ("Frechet", ("scores", "alg2+consistent:5", "frechet"), 1),
]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Perturbed:
    """D(x, t) + D(e, t) - D(e, T), for a linear D."""

    degradation: Degradation
    error: chex.Array | None = None

    @property
    def num_steps(self) -> int:
        return self.degradation.num_steps

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        keys = prng.keys_per_example(key, shape[0])
        D_keys, error_keys = prng.split_keys(keys, 2)
        return dataclasses.replace(
            self,
            degradation=self.degradation.bind(D_keys, shape),
            error=ERROR_STD * prng.draw_normal(error_keys, shape[1:]),
        )

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        D, e = self.degradation, self.error
        return keep_clean(x, D(x, t) + D(e, t) - D(e, self.num_steps), jnp.asarray(t))


def train(path: str, images: str, lever: str, seed: int, num_steps: int) -> Any:
    """Returns the restorer of a lever, with the configuration's degradation."""
    config = levers.read_config(path, images, seed)
    if lever == "l2":
        config.loss = {"name": "l2"}
    levers.set_length(config, num_steps)
    degrade = make_degradation(config.degradation.to_dict(), config.data.image_size)
    with tempfile.TemporaryDirectory() as workdir:
        if lever.startswith("late"):
            first_step = round(LATE * num_steps)
            config.training.num_steps = first_step
            trained = train_and_evaluate(config, workdir)
            config.training.num_steps = num_steps
        if lever == "late rollouts":
            config.objective.rollouts = 0.5
            trained = train_and_evaluate(config, workdir, force=True)
        elif lever == "late trajectories":
            model = trained.model
            _, task = build_model_and_task(config, scales=model.scales)
            params = late_trajectories.train(model, task, trained.state, first_step)
            trained = dataclasses.replace(trained, params=params)
        else:
            own = Perturbed(degrade) if lever == "perturbed" else None
            trained = train_and_evaluate(config, workdir, degradation=own)
    model = dataclasses.replace(trained.model, degrade=degrade)
    return dataclasses.replace(trained, model=model)


def score(restorer: Any) -> dict[str, Any]:
    """Returns the scores of the first test images by sampler."""
    count = levers.NUM_IMAGES.value
    nets = choose_nets(["classifier"], restorer.model, num_images=count)
    with tempfile.TemporaryDirectory() as folder:
        (found,) = evaluate(
            restorer,
            os.path.join(folder, "scores"),
            num_images=count,
            samplers=SAMPLERS,
            nets=nets,
            batch_size=250,
        )
    (distances,) = found.distances.values()
    return {
        name: {
            "rmse": found.pixels[name]["rmse"],
            "ssim": found.pixels[name]["ssim"],
            "frechet": distances[name]["frechet"],
        }
        for name in SAMPLERS
    }


def main(path: str, images: str) -> None:
    """Runs what is missing for the table of one configuration, and prints it."""
    plain = levers.read_config(path, images, 0)
    rolled = levers.read_config(path, images, 0)
    rolled.objective.rollouts = 0.5
    splits = npz(path=images)
    cost = [
        levers.flops(*build_model_and_task(config, splits=splits))
        for config in (plain, rolled)
    ]
    forward = (cost[1] - cost[0]) / cost[0]  # A forward pass of a batch, in steps.
    T = make_degradation(plain.degradation.to_dict(), plain.data.image_size).num_steps
    late = {
        "late rollouts": 1 + forward,
        "late trajectories": 1.5 + forward * T / (2 * late_trajectories.REUSED),
    }

    def run(lever: str, seed: int) -> dict[str, Any]:
        num_steps = levers.NUM_STEPS.value
        if lever in late:
            num_steps = round(num_steps / (LATE + (1 - LATE) * late[lever]))
        restorer = train(path, images, lever, seed, num_steps)
        return {"num_steps": num_steps, "scores": score(restorer)}

    found = levers.study("walk_levers", path, LEVERS, run)
    print(levers.table(found, LEVERS, COLUMNS))


if __name__ == "__main__":
    program.run(main, num_arguments=2)
