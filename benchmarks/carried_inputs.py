"""Measures networks that see more than x_t: x_T, and their own last prediction.

    python -m benchmarks.carried_inputs configs/mnist_blur.py:cpu mnist.npz
    python -m benchmarks.carried_inputs configs/mnist_pixelate.py:cpu mnist.npz

    x_t                         R(x_t, t), as everywhere else
    x_t, x_T                    R(x_t, x_T, t)
    x_t, x_T, last prediction   R(x_t, x_T, p, t), where p is the prediction of the step
                                before, and 0 at T

The inputs are channels of one network, and Algorithm 2 carries them along; x_T has unit
deviation, since a blurred image is nearly flat. In training, p is
R(D(x_0, t'), x_T, 0, t') for a later t', without gradient, or 0 for half of the
examples. All networks are trained by the squared error, for the floating-point
operations of --num_steps steps of the first, as counted by XLA, and score the first
test images by RMSE, SSIM and the Frechet distance on the features of a classifier. The
results of a configuration are collected in benchmarks/results/carried_inputs/NAME.json
after each run, so that the same command resumes an interrupted study.
"""

import dataclasses
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp

from benchmarks import levers
from benchmarks.set_scores import SetScores
from colddiff_jax import devices, prng, sampling
from colddiff_jax.cli import program
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation, per_example
from colddiff_jax.experiment.builders import make_network
from colddiff_jax.experiment.model import Model
from colddiff_jax.models.preconditioning import Around
from colddiff_jax.restoration.image_set import split_of
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.training.batches import open_batches
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.task import (
    Task,
    build_model_and_task,
    start_state,
    train_step,
)

INPUTS = ("x_t", "x_t, x_T", "x_t, x_T, last prediction")
SAMPLERS = {"direct": 0, "alg2": None, "alg2:5": 5}  # Their steps; None for T.
BATCH_SIZE = 250
MIN_DEVIATION = 2 / 255  # One level of an 8-bit image.
COLUMNS: list[levers.Column] = [
    ("direct: RMSE", ("scores", "direct", "rmse"), 3),
    ("Frechet", ("scores", "direct", "frechet"), 1),
    ("Algorithm 2: RMSE", ("scores", "alg2", "rmse"), 3),
    ("Frechet", ("scores", "alg2", "frechet"), 1),
    ("Algorithm 2, 5 steps: RMSE", ("scores", "alg2:5", "rmse"), 3),
    ("Frechet", ("scores", "alg2:5", "frechet"), 1),
]


class Carried(Around):
    """R(x_t, x_T, p, t): the first channels of F(images, t) of all that it sees.

    Attributes:
        network: F.
        inputs: of `INPUTS`.
    """

    inputs: str = INPUTS[0]

    def __call__(
        self,
        x: chex.Array,
        t: chex.Array,
        *,
        x_T: chex.Array | None = None,
        last: chex.Array | None = None,
    ) -> chex.Array:
        """Predicts clean images from x, [B, H, W, C]; the rest defaults to t = T."""
        x_T = x if x_T is None else x_T
        last = jnp.zeros_like(x) if last is None else last
        seen = [x, to_unit_deviation(x_T), last][: 1 + INPUTS.index(self.inputs)]
        return self.network(jnp.concatenate(seen, axis=-1), t)[..., : x.shape[-1]]


def to_unit_deviation(x: chex.Array) -> chex.Array:
    """Returns images [B, H, W, C] that vary around their means by 1, if they vary."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    deviation = jnp.sqrt(jnp.square(x - mean).mean(axis=(1, 2), keepdims=True))
    return mean + (x - mean) / jnp.maximum(deviation, MIN_DEVIATION)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarriedObjective(Objective):
    """The losses of a batch for a `Carried` network; p is drawn if `remembers`."""

    remembers: bool

    def losses(
        self,
        model: Any,
        params: Any,
        degrade: Degradation,
        batch: Batch,
        keys: chex.PRNGKey,
    ) -> chex.Array:
        """Returns the losses of a batch, float32 [B]."""
        T = degrade.num_steps
        t_keys, degrade_keys, later_keys, choice_keys = prng.split_keys(keys, 4)
        t = prng.draw_steps(t_keys, T)
        x_0, D, x_t = degrade_batch(degrade, degrade_keys, batch, t)
        R = functools.partial(model.apply, {"params": params}, x_T=D(x_0, T))
        last = jnp.zeros_like(x_t)
        if self.remembers:
            later = prng.draw_later_steps(later_keys, t, T)
            predicted = jax.lax.stop_gradient(R(D(x_0, later), later))
            remembered = prng.draw_choice(choice_keys, 0.5) & (t < T)
            last = jnp.where(per_example(remembered, x_t), predicted, last)
        errors = R(x_t, t, last=last) - x_0
        return self.distance(errors).mean(axis=(1, 2, 3))


def carried_task(
    path: str, data: str, inputs: str, seed: int, num_steps: int
) -> tuple[Model, Task]:
    """Returns the configuration's model and task with a network of these inputs."""
    config = levers.read_config(path, data, seed)
    config.loss = {"name": "l2"}
    network = Carried(network=make_network(config.model.to_dict()), inputs=inputs)
    levers.set_length(config, num_steps)
    model, task = build_model_and_task(config, network=network)
    own = CarriedObjective(
        distance=task.objective.distance, remembers=inputs == INPUTS[-1]
    )
    return model, dataclasses.replace(task, objective=own)


def train(model: Model, task: Task) -> Any:
    """Returns the averaged parameters after all steps."""
    steps = parallel_train_step(train_step(model, task))
    state = start_state(model, task)
    degrade = devices.replicate(model.degrade)
    key = devices.replicate(prng.stream(task.seed, "train"))
    options = task.training
    with open_batches(task, 0) as training:
        for _ in range(0, options.num_steps, options.steps_per_call):
            batches = next(training.batches)
            state, _ = steps(state, training.resident, batches, degrade, key)
    return state.ema_params


def walk(R: Any, D: Degradation, x_T: jax.Array, calls: int | None) -> jax.Array:
    """Returns x_0 by Algorithm 2, which carries x_T and the last prediction.

        p = R(x_t, x_T, p, t),    x_s = x_t - D(p, t) + D(p, s)

    The steps are of equal stride.
    """
    calls = D.num_steps if calls is None else calls
    timesteps = jnp.asarray(sampling.equal_stride(D.num_steps, num_calls=calls))

    def step(carried: Any, steps: jax.Array) -> tuple[Any, None]:
        x_t, last = carried
        t, s = steps
        p = R(x_t, jnp.full(len(x_t), t), x_T=x_T, last=last)
        return (x_t - D(p, t) + D(p, s), p), None

    start = (x_T, jnp.zeros_like(x_T))
    (x_0, _), _ = jax.lax.scan(
        step, start, jnp.stack([timesteps[:-1], timesteps[1:]], 1)
    )
    return x_0


def score(model: Model, task: Task, params: Any) -> dict[str, Any]:
    """Returns the scores of the first test images by sampler."""
    count = levers.NUM_IMAGES.value
    pixels = split_of(task.data, task.preprocessing).load(range(count)).images
    scores = SetScores(model, pixels, "classifier", BATCH_SIZE)
    key = prng.stream(task.seed, "carried inputs")
    found = {}
    for name, calls in SAMPLERS.items():

        def restore(params: Any, D: Any, x_T: Any, calls: Any = calls) -> chex.Array:
            R = functools.partial(model.network.apply, {"params": params})
            if calls == 0:
                # Not the x_t that a preconditioned network has scaled.
                return R(x_T, jnp.full(len(x_T), D.num_steps), x_T=x_T)
            return walk(R, D, x_T, calls)

        found[name] = scores(restore, params, jax.random.clone(key))
    return found


def main(path: str, data: str) -> None:
    """Runs what is missing for the table of one configuration, and prints it."""
    plain_steps = levers.NUM_STEPS.value
    cost = {
        inputs: levers.flops(*carried_task(path, data, inputs, 0, plain_steps))
        for inputs in INPUTS
    }

    def run(inputs: str, seed: int) -> dict[str, Any]:
        num_steps = round(plain_steps * cost[INPUTS[0]] / cost[inputs])
        model, task = carried_task(path, data, inputs, seed, num_steps)
        scores = score(model, task, train(model, task))
        return {"num_steps": num_steps, "scores": scores}

    found = levers.study("carried_inputs", path, INPUTS, run)
    print(levers.table(found, INPUTS, COLUMNS))


if __name__ == "__main__":
    program.run(main, num_arguments=2)
