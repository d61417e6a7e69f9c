"""The task of a run: data, objective, optimizer and options."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import optax

from colddiff_jax import devices, prng
from colddiff_jax.checks import InputError
from colddiff_jax.data import (
    ImageSplits,
    Preprocessing,
)
from colddiff_jax.degradations.base import Degradation
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
from colddiff_jax.experiment.pairs import sees_endpoint
from colddiff_jax.experiment.prior import PriorOptions, check_prior
from colddiff_jax.experiment.sections import call, call_named
from colddiff_jax.losses import DISTANCES
from colddiff_jax.models.initialization import COMPILER_OPTIONS
from colddiff_jax.models.preconditioning import Scales, is_local
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.samplers import default_samplers
from colddiff_jax.training.config import complete_config
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.optimizers import EMA_DECAYS, EmaDecay, make_optimizer
from colddiff_jax.training.options import (
    EvaluationOptions,
    LoggingOptions,
    TrainingOptions,
    check_best_by,
)
from colddiff_jax.training.scales import make_scales
from colddiff_jax.training.state import TrainState, create_state
from colddiff_jax.training.step import TrainStep, make_train_step


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
        objective,
        consistent_noise=consistent_noise_of(config["model"]),
        sees_endpoint=sees_endpoint(config["model"], degrade),
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
        scales = make_scales(
            config["model"]["precondition"],
            degrade,
            objective,
            data,
            preprocessing,
            seed=seed,
            local=is_local(network),
        )
    model = build_model(
        config, channels=data.channels, scales=scales, degrade=degrade, network=own
    )
    return model, task


def make_objective(loss: Any, fields: Any, num_steps: int) -> Objective:
    """Builds the objective that the sections loss and objective describe."""
    fields = dict(fields)
    for name in {"weights", "frequencies"} & fields.keys():
        values = make_schedule(f"objective.{name}", fields[name])
        fields[name] = tuple(float(value) for value in values)
        if len(fields[name]) not in (0, num_steps):
            raise InputError(
                f"`objective.{name}` must be {num_steps} numbers, one per step of the "
                f"degradation, or none; got {len(fields[name])}"
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
        paired=task.data.paired,
    )
