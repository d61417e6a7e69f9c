"""Turns a configuration into the objects of a run, and says what is wrong with it."""

import dataclasses
import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from colddiff_jax import degradations, models, parallel, schedules
from colddiff_jax.data import SOURCES, ImageSplits, Preprocessing
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.errors import InputError
from colddiff_jax.losses import DISTANCES, Distance
from colddiff_jax.training.fields import call, call_named, check_fields, choose, only
from colddiff_jax.training.state import (
    EMA_DECAYS,
    EmaDecay,
    TrainState,
    create_state,
    make_optimizer,
)
from colddiff_jax.training.step import stream
from colddiff_jax.writers import write_atomically

DEGRADATIONS: dict[str, Callable] = {
    "desaturate": degradations.desaturate,
    "fade": degradations.fade,
    "fade_to_color": degradations.fade_to_color,
    "gaussian_blur": degradations.gaussian_blur,
    "gaussian_mask": degradations.gaussian_mask,
    "gaussian_noise": degradations.gaussian_noise,
    "heat_blur": degradations.heat_blur,
    "jpeg_like": degradations.jpeg_like,
    "motion_blur": degradations.motion_blur,
    "pixelate": degradations.pixelate,
    "snow": degradations.snow,
}
SCHEDULES: dict[str, Callable] = {
    "constant": schedules.constant,
    "cosine": schedules.cosine,
    "exponential": schedules.exponential,
    "exponential_decay": schedules.exponential_decay,
    "geometric": schedules.geometric,
    "halving": schedules.halving,
    "linear": schedules.linear,
    "linear_decay": schedules.linear_decay,
}
MODELS: dict[str, Callable] = {
    "convnext": models.ConvNeXtUNet,
    "unet": models.UNet,
}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How long to train and when to look.

    Attributes:
        batch_size: images per step, over all devices.
        num_steps: optimiser steps in all.
        micro_batches: parts of a device's share of the batch that are worked on one
            after the other, for batches that do not fit in memory. The step is the same
            to rounding.
        skip_nonfinite: steps in a row whose gradient is not finite and that are skipped
            instead of ending the run.
        log_every: steps between two lines of metrics.
        evaluate_every: steps between two evaluations.
        checkpoint_every: steps between two checkpoints.
    """

    batch_size: int
    num_steps: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    micro_batches: int = 1
    skip_nonfinite: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "skip_nonfinite" else 1
            if not isinstance(value, int) or value < least:
                raise InputError(
                    f"training.{field.name} must be an integer of at least {least}, "
                    f"got {value!r}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What an evaluation during training looks at.

    Attributes:
        num_images: test images to score; at most as many as there are.
        batch_size: images restored at once, over all devices.
    """

    num_images: int
    batch_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggingOptions:
    """Writers beside `metrics.jsonl`; see `colddiff_jax.writers.make_writers`."""

    tensorboard: bool = False
    wandb: str = ""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The objects that a configuration describes."""

    seed: int
    splits: ImageSplits
    preprocessing: Preprocessing
    degrade: Degradation
    model: nn.Module
    distance: Distance
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

    def initial_state(self) -> TrainState:
        """The state before the first step."""
        key = stream(self.seed, "init")
        return create_state(key, self.model, self.optimizer, self.image_shape)

    def abstract_state(self) -> TrainState:
        """The shapes of the state and where it lives, to restore a checkpoint to."""
        return parallel.replicated_like(jax.eval_shape(self.initial_state))


def build_experiment(config: Mapping[str, Any]) -> Experiment:
    """Builds the objects that a configuration describes.

    Every section holds the arguments of the function it is named after, so what a field
    means stands in that function's documentation; `name` chooses among several
    functions.

    Args:
        config: nested fields as in `configs/`.

    Returns:
        The objects of a run, checked to fit each other.

    Raises:
        InputError: an unknown field or name, a missing one, or a value that does not
            fit.
    """
    config = _plain(config)
    sections = ["seed", "data", "degradation", "model", "loss", "optimizer", "ema"]
    sections += ["training", "evaluation", "logging"]
    check_fields("", config, sections, sections)
    data = dict(config["data"])
    source = choose("data.source", SOURCES, data.pop("source", None))
    of_any_source = {
        name for s in SOURCES.values() for name in inspect.signature(s).parameters
    }
    of_preprocessing = list(inspect.signature(Preprocessing).parameters)
    check_fields("data", data, [*of_any_source, *of_preprocessing], [])
    preprocessing = call("data", Preprocessing, only(data, of_preprocessing))
    training = call("training", TrainingOptions, config["training"])
    optimizer = call("optimizer", make_optimizer, config["optimizer"])
    if training.skip_nonfinite:
        optimizer = optax.apply_if_finite(optimizer, training.skip_nonfinite)
    model = dict(config["model"])
    model["dtype"] = _dtype(model.get("dtype", "float32"))
    experiment = Experiment(
        seed=config["seed"],
        preprocessing=preprocessing,
        degrade=_degradation(config["degradation"], preprocessing.image_size),
        model=call_named("model", MODELS, model),
        distance=call_named("loss", DISTANCES, config["loss"]),
        optimizer=optimizer,
        ema_decay=call_named("ema", EMA_DECAYS, config["ema"]),
        training=training,
        evaluation=call("evaluation", EvaluationOptions, config["evaluation"]),
        logging=call("logging", LoggingOptions, config["logging"]),
        splits=call("data", source, only(data, inspect.signature(source).parameters)),
    )
    if getattr(experiment.model, "num_classes", 0):
        raise InputError(
            "model.num_classes must be 0: training has no labels; a network with "
            "classes can be used as a function"
        )
    if not 1 <= experiment.evaluation.num_images <= len(experiment.splits.test):
        raise InputError(
            f"evaluation.num_images must lie in 1..{len(experiment.splits.test)}, the "
            f"number of test images, got {experiment.evaluation.num_images}"
        )
    # The shapes alone: finds a side the network cannot halve, or an attention that is
    # not to be had here (a RuntimeError), before any work.
    try:
        jax.eval_shape(experiment.initial_state)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"model: {error}") from error
    return experiment


def save_config(config: Mapping[str, Any], workdir: str) -> None:
    """Writes a configuration to the run folder, or checks it against the one there.

    Raises:
        InputError: the folder holds a run of another configuration. The sections
            training, evaluation and logging may change: they do not touch what was
            learned.
    """
    path = os.path.join(workdir, "config.json")
    new = json.loads(json.dumps(_plain(config)))
    if os.path.exists(path):
        old = load_config(workdir)
        free = (
            "training.num_steps",
            "training.log_every",
            "training.evaluate_every",
            "training.checkpoint_every",
            "evaluation.",
            "logging.",
        )
        before, after = _flatten(old), _flatten(new)
        changed = [
            f"{field}: {before.get(field)!r} -> {after.get(field)!r}"
            for field in sorted(before.keys() | after.keys())
            if before.get(field) != after.get(field) and not field.startswith(free)
        ]
        if changed:
            raise InputError(
                f"{workdir} holds a run of another configuration "
                f"({'; '.join(changed)}); choose another --workdir or remove that "
                "folder"
            )
    write_atomically(path, (json.dumps(new, indent=2) + "\n").encode())


def load_config(workdir: str) -> dict[str, Any]:
    """Reads the configuration of a run folder.

    Raises:
        InputError: there is no such folder, or it holds no run.
    """
    path = os.path.join(workdir, "config.json")
    if not os.path.isdir(workdir):
        raise InputError(f"no run folder {workdir!r}; train one with train.py first")
    if not os.path.isfile(path):
        raise InputError(f"{workdir!r} is not a run folder: it has no config.json")
    with open(path) as file:
        return json.load(file)


def _degradation(fields: Any, image_size: int) -> Degradation:
    """Makes the degradation; fields that hold named fields are schedules."""
    sized = functools.partial(call_named, image_size=image_size)
    if isinstance(fields, Mapping):
        fields = {
            name: sized(f"degradation.{name}", SCHEDULES, value)
            if isinstance(value, Mapping)
            else value
            for name, value in fields.items()
        }
    return sized("degradation", DEGRADATIONS, fields)


def _dtype(name: str) -> Any:
    """The network's dtype of computation; "auto" is bfloat16 where hardware has it."""
    if name == "auto":
        device = jax.local_devices()[0]
        capability = float(getattr(device, "compute_capability", 0) or 0)
        fast = device.platform == "tpu" or capability >= 8.0
        return jnp.bfloat16 if fast else jnp.float32
    return choose("model.dtype", DTYPES, name)


def _plain(value: Any) -> Any:
    """Nested dicts, with lists as tuples, which Flax modules need to be hashable."""
    if hasattr(value, "items"):
        return {name: _plain(item) for name, item in value.items()}
    return (
        tuple(_plain(item) for item in value)
        if isinstance(value, list | tuple)
        else value
    )


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{prefix}{name}"
        flat |= (
            _flatten(value, f"{path}.") if isinstance(value, dict) else {path: value}
        )
    return flat
