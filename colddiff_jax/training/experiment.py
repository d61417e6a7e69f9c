"""Turns a configuration into the objects of a run, and says what is wrong with it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from colddiff_jax import images, parallel
from colddiff_jax.data import ImageSplits, Preprocessing, fingerprint
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.errors import InputError
from colddiff_jax.metrics.pixel import SSIM_SIDE
from colddiff_jax.models.preconditioning import (
    Preconditioned,
    Scales,
    measure_scales,
)
from colddiff_jax.training import components
from colddiff_jax.training.draws import example_keys, stream
from colddiff_jax.training.fields import call, call_named, check_fields
from colddiff_jax.training.objective import Objective, bind
from colddiff_jax.training.options import (
    EvaluationOptions,
    LoggingOptions,
    TrainingOptions,
)
from colddiff_jax.training.state import (
    EMA_DECAYS,
    EmaDecay,
    TrainState,
    create_state,
    make_optimizer,
)
from colddiff_jax.training.step import TrainStep, make_train_step

_MEASURED = 512  # Images that the scales of a preconditioned network are measured on.

_SECTIONS = ["seed", "data", "endpoints", "degradation", "model", "loss", "objective"]
_SECTIONS += ["optimizer", "ema", "training", "evaluation", "logging"]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The objects that a configuration describes.

    Attributes:
        seed: of everything random.
        splits: the images.
        endpoints: images that a blend degrades into, or None.
        preprocessing: how both become squares.
        degrade: D, unbound.
        model: R.
        scales: of a preconditioned network, or None.
        objective: what it is trained on.
        optimizer: what moves its parameters.
        ema_decay: how they are averaged.
        training: options of the loop.
        evaluation: options of its evaluations.
        logging: options of its writers.
    """

    seed: int
    splits: ImageSplits
    endpoints: ImageSplits | None
    preprocessing: Preprocessing
    degrade: Degradation
    model: nn.Module
    scales: Scales | None
    objective: Objective
    optimizer: optax.GradientTransformation
    ema_decay: EmaDecay
    training: TrainingOptions
    evaluation: EvaluationOptions
    logging: LoggingOptions

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images the network sees."""
        size = self.preprocessing.image_size
        return (size, size, self.splits.train[0].shape[-1])

    def fingerprint(self) -> str:
        """A hash of all that training sees: images, labels and endpoints."""
        hashes = [fingerprint(self.splits.train, labels=self.splits.train_labels)]
        if self.endpoints:
            hashes.append(fingerprint(self.endpoints.train))
        return "-".join(hashes)

    def initial_state(self) -> TrainState:
        """The state before the first step."""
        key = stream(self.seed, "init")
        return create_state(key, self.model, self.optimizer, self.image_shape)

    def start(self) -> TrainState:
        """The state before the first step, on every device."""
        # Hundreds of random draws that run once: what counts is to compile quickly.
        fast = {"xla_backend_optimization_level": 0}
        return parallel.replicate(jax.jit(self.initial_state, compiler_options=fast)())

    def train_step(self) -> TrainStep:
        """The training step of these objects."""
        return make_train_step(
            self.model,
            self.optimizer,
            self.ema_decay,
            self.objective,
            self.preprocessing,
            self.training.micro_batches,
        )

    def abstract_state(self) -> TrainState:
        """The shapes of the state and where it lives, to restore a checkpoint to."""
        return parallel.replicated_like(jax.eval_shape(self.initial_state))


def build_experiment(
    config: Mapping[str, Any],
    *,
    splits: ImageSplits | None = None,
    scales: Scales | None = None,
) -> Experiment:
    """Builds the objects that a configuration describes.

    Every section holds the arguments of the function it is named after, so what a field
    means stands in that function's documentation; `name` chooses among several
    functions.

    Args:
        config: nested fields as in `configs/`.
        splits: images to use instead of those that the section data names.
        scales: of a preconditioned network; None measures them on the training images.

    Returns:
        The objects of a run, checked to fit each other.

    Raises:
        InputError: an unknown field or name, a missing one, or a value that does not
            fit.
    """
    config = plain(config)
    check_fields("", config, _SECTIONS, _SECTIONS)
    seed = config["seed"]
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed must be an integer in 0..{2**32 - 1}, got {seed!r}")
    training = call("training", TrainingOptions, config["training"])
    optimizer = call("optimizer", make_optimizer, config["optimizer"])
    if training.skip_nonfinite:
        optimizer = optax.apply_if_finite(optimizer, training.skip_nonfinite)
    preprocessing, data = components.split_preprocessing(config["data"])
    degrade = components.make_degradation(
        config["degradation"], preprocessing.image_size
    )
    model, precondition = components.make_model(config["model"])
    labels = bool(getattr(model, "num_classes", 0))
    objective = components.make_objective(
        config["loss"], config["objective"], degrade.num_steps
    )
    if splits is None:
        splits = components.load_splits("data", data, labels=labels)
    if not labels:
        splits = splits._replace(train_labels=None, test_labels=None)
    endpoints = None
    if config["endpoints"].get("source"):
        endpoints = components.load_splits(
            "endpoints", config["endpoints"], labels=False
        )
    if not precondition:
        scales = None
    experiment = Experiment(
        seed=seed,
        splits=splits,
        endpoints=endpoints,
        preprocessing=preprocessing,
        degrade=degrade,
        model=model,
        scales=scales,
        objective=objective,
        optimizer=optimizer,
        ema_decay=call_named("ema", EMA_DECAYS, config["ema"]),
        training=training,
        evaluation=call("evaluation", EvaluationOptions, config["evaluation"]),
        logging=call("logging", LoggingOptions, config["logging"]),
    )
    _check(experiment)
    if precondition:
        scales = scales or _measure(experiment)
        if len(scales.skip) != degrade.num_steps:
            raise InputError(
                f"the network is preconditioned for {len(scales.skip)} steps and the "
                f"degradation has {degrade.num_steps}; begin a new run folder"
            )
        model = Preconditioned(model, scales)
        experiment = dataclasses.replace(experiment, model=model, scales=scales)
    # The shapes alone: finds a side the network cannot halve, or an attention that is
    # not to be had here (a RuntimeError), before any work.
    try:
        jax.eval_shape(experiment.initial_state)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"model: {error}") from error
    return experiment


def plain(value: Any) -> Any:
    """Nested dicts, with lists as tuples, which Flax modules need to be hashable."""
    if hasattr(value, "items"):
        return {name: plain(item) for name, item in value.items()}
    return (
        tuple(plain(item) for item in value)
        if isinstance(value, list | tuple)
        else value
    )


def _check(experiment: Experiment) -> None:
    """Raises InputError where the parts do not fit each other."""
    splits, endpoints = experiment.splits, experiment.endpoints
    for name, found in (("training", splits.train), ("test", splits.test)):
        if not len(found):
            raise InputError(f"there are no {name} images; data.source found none")
    classes = getattr(experiment.model, "num_classes", 0)
    if classes:
        if splits.train_labels is None or splits.test_labels is None:
            raise InputError(
                f"model.num_classes is {classes}, and the images have no labels; set "
                "it to 0 or give labels"
            )
        if splits.num_classes > classes:
            raise InputError(
                f"model.num_classes must be at least {splits.num_classes}, the classes "
                f"of the images, got {classes}"
            )
    if components.needs_endpoints(experiment.degrade) != (endpoints is not None):
        raise InputError(
            "the section endpoints must name a source of images if, and only if, "
            "degradation.name is animorph, which blends with other images"
        )
    if endpoints and endpoints.train[0].shape[-1] != splits.train[0].shape[-1]:
        raise InputError(
            f"the images have {splits.train[0].shape[-1]} channels and their endpoints "
            f"{endpoints.train[0].shape[-1]}; both need the same number"
        )
    side = experiment.preprocessing.image_size
    if side < SSIM_SIDE:
        raise InputError(
            f"data.image_size must be at least {SSIM_SIDE}, the window of SSIM, by "
            f"which runs are scored; got {side}"
        )
    # The first image of each kind is resized now, where a wrong size costs nothing.
    for split in (splits, endpoints) if endpoints else (splits,):
        experiment.preprocessing.test(split.train[0])
        experiment.preprocessing.test(split.test[0])


def _measure(experiment: Experiment) -> Scales:
    """Measures the scales of a preconditioned network on training images."""

    def load(split: ImageSplits) -> np.ndarray:
        every = np.linspace(0, len(split.train) - 1, _MEASURED).astype(int)
        return np.stack([experiment.preprocessing.test(split.train[i]) for i in every])

    x_0 = images.to_float(load(experiment.splits))
    endpoints = load(experiment.endpoints) if experiment.endpoints else None
    key = stream(experiment.seed, "precondition")
    keys = example_keys(key, jnp.arange(len(x_0)))
    bound = bind(experiment.degrade, keys, x_0.shape, endpoints)
    return measure_scales(bound, x_0, noise=experiment.objective.input_noise)
