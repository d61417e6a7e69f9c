"""Every field of a configuration raises for a value of the wrong type or range."""

import collections.abc
import copy
import inspect
import math
import typing

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import ImageSplits
from colddiff_jax.experiment.builders import DEGRADATIONS, NETWORKS, SCHEDULES
from colddiff_jax.experiment.field_types import options_of
from colddiff_jax.experiment.sections import parameters_of
from colddiff_jax.losses import DISTANCES
from colddiff_jax.training import get_config
from colddiff_jax.training.config import NAMED_SECTIONS, SECTIONS, types_of_fields
from colddiff_jax.training.optimizers import EMA_DECAYS
from colddiff_jax.training.task import build_model_and_task
from tests.conftest import ROOT

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), np.uint8)
CONFIG = get_config("digits_blur:smoke").to_dict()

NAN, INFINITY, HUGE = math.nan, math.inf, 10**30
BEYOND = 2**31 - 1  # The largest integer on a device.
WRONG = {
    bool: ["false", "yes", 0, 1, None],
    int: ["3", True, None, 1.5, NAN, INFINITY, HUGE, BEYOND, -1, -BEYOND, 0],
    float: ["0.5", True, None, NAN, INFINITY, -INFINITY, -1.0, 0.0, 1e30, -1e30],
    str: [3, True, None, NAN, ["a"]],
    collections.abc.Sequence: [
        *("text", True, None, NAN, [], ["a"], [None], [True]),
        *([NAN], [INFINITY], [-1], [0], [HUGE], [BEYOND], {"start": 1}),
    ],
    tuple: ["text", 3, True, None, NAN, ["a", "b"], [NAN, NAN], [True, True]],
    typing.Literal: ["text", True, None, NAN, ["reflect"]],
}

LARGE = [BEYOND]  # Counts that only make a run endless.
# Wrong for most arguments of the type, and valid for these.
VALID: dict[str, list] = {
    "data.resize_to": [0],
    "data.pad": [0],
    "data.max_unreadable": [0.0],
    "endpoints.max_unreadable": [0.0],
    "objective.input_noise": [0.0, 1e30],
    "objective.rollouts": [0.0],
    "objective.label_dropout": [0.0],
    "optimizer.warmup_steps": [0, BEYOND],
    "optimizer.decay_steps": [0, BEYOND],
    "optimizer.weight_decay": [0.0, 1e30],
    "optimizer.clip_norm": [0.0, 1e30],
    "training.batch_size": LARGE,
    "training.micro_batches": LARGE,
    "training.num_steps": LARGE,
    "training.log_every": LARGE,
    "training.evaluate_every": LARGE,
    "training.checkpoint_every": LARGE,
    "training.skip_nonfinite": [0, BEYOND],
    "training.resident_mb": [0, BEYOND, None],
    "training.num_workers": [0],
    "training.profile_steps": [0, BEYOND],
    "evaluation.num_images": LARGE,
    "evaluation.batch_size": LARGE,
    "logging.wandb": [None, "text"],
    "prior.block": [0],
    "prior.components": LARGE,
    "prior.images": [0, BEYOND],
    "prior.noise_std": [0.0, 1e30],
    "loss.scale": [1e30],
    "ema.decay": [0.0],
    "ema.every": LARGE,
    "ema.start": [0, BEYOND],
    "model.attention_resolutions": [[], [BEYOND]],
    "model.attention_implementation": [None],
    "model.dropout": [0.0],
    "model.precondition": [True],
    "model.num_classes": [0],
    "model.consistent_noise": [[]],
    "degradation.noise_stds": [[]],
    "degradation.noise_gains": [[]],
    "objective.frequencies": [[]],
    "degradation.fade_to_black": [[]],
    "degradation.to": [-1.0, 0.0],
    "degradation.stds": [[BEYOND], [HUGE]],
    "degradation.blur_sigmas": [[BEYOND], [HUGE]],
    "degradation.keep": [[0]],
    "degradation.alphas_cumprod": [[0]],
    "degradation.lengths": [[0]],
    "degradation.density": [1e30],
    "degradation.endpoint_noise": [0.0, 1e30],
    "degradation.min_gain": [0.0],
    "degradation.angle": [-1.0, 0.0, 1e30, -1e30],
    "degradation.blur_std": [1e30, None],
    "degradation.stds.value": [1e30],
    "degradation.stds.start": [1e30],
    "degradation.stds.stop": [1e30],
    "degradation.stds.increment": [0.0, 1e30],
    "degradation.stds.rate": [0.0, -1.0],
    "degradation.stds.offset": [0.0, 1e30],
    "degradation.stds.exponent": [-1.0, 0.0],
    "degradation.stds.mean": [-1.0, 0.0],
}
REQUIRED = {
    "stds": (1.0, 2.0),
    "kernel_size": 3,
    "keep": (0.5, 0.2),
    "alphas_cumprod": (0.5, 0.2),
    "image_weights": (0.5, 0.2),
    "endpoint_weights": (0.5, 0.8),
    "blur_sigmas": (1.0, 2.0),
    "qualities": (50.0, 20.0),
    "lengths": (3.0, 5.0),
    "sizes": (4, 2),
    "num_steps": 3,
    "scale": 0.1,
    "decay": 0.9,
    "every": 2,
    "start": 1,
    "value": 1.0,
    "rate": 0.1,
    "factor": 0.5,
    "stop": 2.0,
    "increment": 0.1,
    "exponent": 1.0,
}
CHOICES = {
    # The fields of an object of one's own are not given, but describe it.
    "degradation": {name: DEGRADATIONS[name] for name in DEGRADATIONS if name != "own"},
    "model": {name: NETWORKS[name] for name in NETWORKS if name != "own"},
    "loss": DISTANCES,
    "ema": EMA_DECAYS,
    "degradation.stds": SCHEDULES,
}


def cases():
    """Yields the path of each field, the valid fields of its section, and its type."""
    sections = [(name, {}) for name in SECTIONS if name not in ("seed", *CHOICES)]
    for section, choices in CHOICES.items():
        for name, function in choices.items():
            required = {
                argument: REQUIRED[argument]
                for argument, parameter in parameters_of(function).items()
                if parameter.default is inspect.Parameter.empty
                and argument != "image_size"
            }
            sections.append((section, {"name": name, **required}))
    for section, fields in sections:
        for field, hint in types_of_fields(section, fields).items():
            name = f"{section}-{fields.get('name', '')}-{field}"
            yield pytest.param(section, fields, field, hint, id=name)


@pytest.mark.parametrize(("section", "fields", "field", "hint"), list(cases()))
def test_wrong_values_of_a_field_raise_one_line_that_names_it(
    section, fields, field, hint
):
    path = f"{section}.{field}"
    valid = {repr(value) for value in VALID.get(path, [])}
    origins = {typing.get_origin(option) or option for option in options_of(hint)}
    wrong = [value for origin in origins for value in WRONG.get(origin, [])]
    assert wrong, f"a type without wrong values: {hint}"
    for value in wrong:
        if repr(value) in valid:
            continue
        config = changed_config(section, fields | {field: value})
        with pytest.raises(InputError) as raised:
            build_model_and_task(config, splits=splits_for(section, field))
        message = str(raised.value)
        named = f"`{section}" in message and field in message
        named = named or section == "degradation.stds"  # The schedule is wrong.
        assert named and "\n" not in message, (path, value, message)


def changed_config(section, fields):
    """Returns a small configuration with these fields of a section."""
    config = copy.deepcopy(CONFIG)
    if section in ("data", "endpoints"):  # The source with the most fields.
        config[section] |= {"source": "folder", "path": str(ROOT)}
    parent, _, schedule = section.partition(".")
    if schedule:
        config[parent][schedule] = fields
    elif section in CHOICES:
        config[section] = fields
    else:
        config[section] |= fields
    if fields.get("name") == "animorph":
        config["endpoints"]["source"] = "digits"
    if section == "endpoints":
        config["degradation"] = {"name": "animorph", "alphas_cumprod": (0.5, 0.2)}
    return config


def splits_for(section, field):
    """Returns images, except where the field is checked when they are opened."""
    return None if section == "data" else ImageSplits(IMAGES, IMAGES)


def test_all_sections_with_a_choice_are_covered():
    assert set(NAMED_SECTIONS) < set(CHOICES)
