"""The task of a run: data, objective, optimizer and options."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from colddiff_jax import devices, distributed, prng
from colddiff_jax.checks import InputError
from colddiff_jax.data import (
    ImageSplits,
    Preprocessing,
    batch_windows,
    load_windows,
)
from colddiff_jax.degradations.base import Degradation, per_example
from colddiff_jax.experiment import own_network, own_objects
from colddiff_jax.experiment.builders import (
    make_degradation,
    make_network,
    make_preprocessing,
    make_schedule,
)
from colddiff_jax.experiment.data import RunData, open_data
from colddiff_jax.experiment.model import (
    Model,
    build_model,
    consistent_noise_of,
    with_inverse,
)
from colddiff_jax.experiment.prior import PriorOptions, check_prior
from colddiff_jax.experiment.sections import call, call_named
from colddiff_jax.io.images import to_float
from colddiff_jax.losses import DISTANCES
from colddiff_jax.models.initialization import COMPILER_OPTIONS
from colddiff_jax.models.preconditioning import Scales, is_local, measure_scales
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.restore import bind
from colddiff_jax.restoration.samplers import default_samplers
from colddiff_jax.sampling import Consistent
from colddiff_jax.sampling.consistency import trained_consistent
from colddiff_jax.training.config import complete_config
from colddiff_jax.training.objective import Objective, draw_noise_levels
from colddiff_jax.training.optimizers import EMA_DECAYS, EmaDecay, make_optimizer
from colddiff_jax.training.options import (
    EvaluationOptions,
    LoggingOptions,
    TrainingOptions,
    check_best_by,
)
from colddiff_jax.training.state import TrainState, create_state
from colddiff_jax.training.step import TrainStep, make_train_step

_NUM_MEASURED = 512  # Images on which scales are measured.


@dataclasses.dataclass(frozen=True)
class Task:
    """The data a model is trained on, and how it is trained.

    Attributes:
        seed: the seed of all random draws.
        data: the images.
        preprocessing: how images are resized, cropped and flipped.
        objective: the training losses.
        optimizer: the optimizer of the parameters.
        ema_decay: the decay of the moving average of the parameters.
        training: the options of the loop.
        evaluation: the options of its evaluations.
        logging: the options of its writers.
        prior: the prior of generated images.
    """

    seed: int
    data: RunData
    preprocessing: Preprocessing
    objective: Objective
    optimizer: optax.GradientTransformation
    ema_decay: EmaDecay
    training: TrainingOptions
    evaluation: EvaluationOptions
    logging: LoggingOptions
    prior: PriorOptions

    def __repr__(self) -> str:
        return short_repr(self)


def build_model_and_task(
    config: Mapping[str, Any],
    *,
    splits: ImageSplits | None = None,
    scales: Scales | None = None,
    degradation: Degradation | None = None,
    network: Any = None,
) -> tuple[Model, Task]:
    """Builds the model and the task that a configuration describes.

    A section holds the arguments of one function, which documents its fields; where
    there is a choice of functions, the field `name` selects one.

    Args:
        config: nested fields as in `configs/`.
        splits: images to use instead of those that the section data names.
        scales: the scales of a preconditioned network; None measures them on the
            training images.
        degradation: D, unbound, in place of the one that the configuration describes.
        network: R, likewise; see `own_network`.

    Returns:
        The model and the task, checked against each other.

    Raises:
        InputError: an unknown or missing field or name, or an invalid value.
    """
    config = complete_config(own_objects.named(config, degradation, network))
    seed = prng.check_seed(config["seed"])
    training = call("training", TrainingOptions, config["training"])
    optimizer = call("optimizer", make_optimizer, config["optimizer"])
    if training.skip_nonfinite:
        optimizer = optax.apply_if_finite(optimizer, training.skip_nonfinite)
    preprocessing = make_preprocessing(config["data"])
    degrade = degradation
    if degrade is None:
        degrade = make_degradation(config["degradation"], preprocessing.image_size)
    degrade = with_inverse(degrade, config["model"])
    objective = make_objective(config["loss"], config["objective"], degrade.num_steps)
    objective = dataclasses.replace(
        objective, consistent_noise=consistent_noise_of(config["model"])
    )
    _check_target(objective)
    options = {
        "ema_decay": call_named("ema", EMA_DECAYS, config["ema"]),
        "evaluation": call("evaluation", EvaluationOptions, config["evaluation"]),
        "logging": call("logging", LoggingOptions, config["logging"]),
        "prior": check_prior(config, degrade),
    }
    samplers = default_samplers(objective.target)
    check_best_by(options["evaluation"].best_by, samplers)
    # Raises before any image is read.
    own = None if network is None else own_network.own_network(network)
    network = make_network(config["model"]) if own is None else own
    data = open_data(config, degrade, splits=splits)
    task = Task(
        seed=seed,
        data=data,
        preprocessing=preprocessing,
        objective=objective,
        optimizer=optimizer,
        training=training,
        **options,
    )
    if config["model"].get("precondition") and scales is None:
        scales = _measure(task, degrade, centered=not is_local(network))
    model = build_model(
        config, channels=data.channels, scales=scales, degrade=degrade, network=own
    )
    return model, task


def make_objective(loss: Any, fields: Any, num_steps: int) -> Objective:
    """Builds the objective that the sections loss and objective describe."""
    fields = dict(fields)
    if "weights" in fields:
        weights = make_schedule("objective.weights", fields["weights"])
        fields["weights"] = tuple(float(weight) for weight in weights)
        if len(fields["weights"]) not in (0, num_steps):
            raise InputError(
                f"`objective.weights` must be {num_steps} numbers, one per step of the "
                f"degradation, or none; got {len(fields['weights'])}"
            )
    distance = call_named("loss", DISTANCES, loss)
    return call("objective", functools.partial(Objective, distance=distance), fields)


def _check_target(objective: Objective) -> None:
    """Raises InputError for options that need predictions of clean images."""
    degraded = objective.compare == "degraded"
    given = {
        "objective.compare": degraded and objective.compare,
        "objective.rollouts": objective.rollouts,
        "model.consistent_noise": objective.consistent_noise,
    }
    for name, value in given.items():
        if value and objective.target != "clean":
            raise InputError(
                f"`{name}` needs a network that predicts clean images, but "
                f"`objective.target` is {objective.target}; leave out one of the two, "
                f"got {value}"
            )


def initial_state(model: Model, task: Task) -> TrainState:
    """Returns the state before the first step."""
    return create_state(model.init(prng.stream(task.seed, "init")), task.optimizer)


def start_state(model: Model, task: Task) -> TrainState:
    """Returns the state before the first step, on every device."""
    first = jax.jit(
        lambda: initial_state(model, task), compiler_options=COMPILER_OPTIONS
    )
    return devices.replicate(first())


def abstract_state(model: Model, task: Task) -> TrainState:
    """Returns the shapes, dtypes and devices of the state, to restore a checkpoint."""
    return devices.replicated_like(jax.eval_shape(lambda: initial_state(model, task)))


def train_step(model: Model, task: Task) -> TrainStep:
    """Returns the training step of a model on a task."""
    return make_train_step(
        model.network,
        task.optimizer,
        task.ema_decay,
        task.objective,
        task.preprocessing,
        task.training.micro_batches,
    )


def _measure(task: Task, degrade: Degradation, *, centered: bool) -> Scales:
    """Measures the scales of a preconditioned network, in process 0 for all of them.

    Machines of other kinds would round other digits, and the network holds every digit.
    """
    scales = np.zeros((len(Scales._fields), degrade.num_steps))
    if devices.is_main_process():
        scales[:] = _measure_here(task, degrade, centered)
    return Scales(*map(tuple, distributed.from_process_0(scales).tolist()))


def _measure_here(task: Task, degrade: Degradation, centered: bool) -> Scales:
    """Measures the scales of a preconditioned network on training images."""

    def load(split: ImageSplits, seed: int) -> np.ndarray:
        if task.preprocessing.crop:  # The windows of the first examples.
            windows = batch_windows(len(split.train), _NUM_MEASURED, seed=seed)[0]
            return load_windows(split.train, task.preprocessing, windows)
        every = np.linspace(0, len(split.train) - 1, _NUM_MEASURED).astype(int)
        return np.stack([task.preprocessing.test(split.train[i]) for i in every])

    x_0 = to_float(load(task.data.splits, task.seed))
    others = task.data.endpoints
    endpoints = load(others, task.seed + 1) if others else None
    key = prng.stream(task.seed, "precondition")
    keys = prng.indexed_keys(key, jnp.arange(len(x_0)))
    bound = bind(degrade, keys, x_0.shape, endpoints)
    bounds = task.objective.consistent_noise
    if not bounds:
        return measure_scales(
            bound,
            x_0,
            noise=task.objective.input_noise,
            centered=centered,
            target=task.objective.target,
        )
    level_keys, normal_keys = (
        prng.indexed_keys(jax.random.fold_in(key, i), jnp.arange(len(x_0)))
        for i in range(2)
    )
    levels = draw_noise_levels(level_keys, bounds)
    inverse = trained_consistent(_nothing, bound, levels)
    normal = prng.draw_normal(normal_keys, x_0.shape[1:])
    drawn = per_example(levels, x_0) * normal
    return measure_scales(
        bound,
        x_0,
        centered=centered,
        observed=jax.tree_util.Partial(_observed, inverse, drawn),
    )


def _observed(
    inverse: Consistent, noise: chex.Array, x_t: chex.Array, t: chex.Array
) -> chex.Array:
    """Returns what a network of consistent predictions takes in place of x_t."""
    return inverse.given(x_t + noise, t)


@jax.tree_util.Partial
def _nothing(x_t: chex.Array, t: chex.Array) -> chex.Array:
    del t
    return jnp.zeros_like(x_t)
