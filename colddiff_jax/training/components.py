"""Makes each part of an experiment from the section of its configuration."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax import degradations, models, schedules
from colddiff_jax.data import SOURCES, ImageSplits, Preprocessing
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.degradations.blend import Blend
from colddiff_jax.errors import InputError
from colddiff_jax.losses import DISTANCES
from colddiff_jax.training.fields import call, call_named, check_fields, choose, only
from colddiff_jax.training.objective import Objective

DEGRADATIONS: dict[str, Callable] = {
    "animorph": degradations.animorph,
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


def load_splits(
    section: str, fields: Mapping[str, Any], *, labels: bool
) -> ImageSplits:
    """Opens the source that `fields["source"]` names.

    A section may hold the fields of other sources too, which then say nothing, so that
    a source can be chosen on the command line.
    """
    fields = dict(fields)
    source = choose(f"{section}.source", SOURCES, fields.pop("source", None))
    parameters = inspect.signature(source).parameters
    of_any = {n for s in SOURCES.values() for n in inspect.signature(s).parameters}
    check_fields(section, fields, sorted(of_any - {"labels"}), [])
    if "path" in parameters and fields.get("path") == "":
        what = "folder" if source is SOURCES["folder"] else "file"
        raise InputError(
            f"{section}.path is empty; name the {what} with "
            f"--config.{section}.path={what.upper()}"
        )
    known = {"labels": labels} if "labels" in parameters else {}
    if labels and not known:
        raise InputError(f"{section}.source {source.__name__} has no labels")
    try:
        return call(section, source, only(fields, parameters) | known)
    except InputError as error:  # Sources know their fields by the usual section.
        own_name = rf"(?<![\w./])data\.(?={'|'.join(of_any | {'source'})}\b)"
        raise InputError(re.sub(own_name, f"{section}.", str(error))) from error


def split_preprocessing(
    fields: Mapping[str, Any],
) -> tuple[Preprocessing, dict[str, Any]]:
    """The preprocessing that the section data describes, and the other fields."""
    own = only(fields, inspect.signature(Preprocessing).parameters)
    rest = {name: value for name, value in fields.items() if name not in own}
    return call("data", Preprocessing, own), rest


def make_degradation(fields: Any, image_size: int) -> Degradation:
    """Makes the degradation; fields that hold named fields are schedules."""
    if isinstance(fields, Mapping):
        fields = {
            name: _schedule(f"degradation.{name}", value, image_size=image_size)
            for name, value in fields.items()
        }
    return call_named("degradation", DEGRADATIONS, fields, image_size=image_size)


def make_model(fields: Any) -> tuple[nn.Module, bool]:
    """Makes the network, and says whether it is to be preconditioned."""
    fields = dict(fields)
    precondition = fields.pop("precondition", False)
    fields["dtype"] = _dtype(fields.get("dtype", "float32"))
    return call_named("model", MODELS, fields), precondition


def make_objective(loss: Any, fields: Any, num_steps: int) -> Objective:
    """Makes the objective of the sections loss and objective."""
    fields = dict(fields)
    if "weights" in fields:
        weights = _schedule("objective.weights", fields["weights"])
        fields["weights"] = tuple(float(weight) for weight in weights)
        if len(fields["weights"]) not in (0, num_steps):
            raise InputError(
                f"objective.weights must be {num_steps} numbers, one per step of the "
                f"degradation, or none; got {len(fields['weights'])}"
            )
    distance = call_named("loss", DISTANCES, loss)
    return call("objective", functools.partial(Objective, distance=distance), fields)


def needs_endpoints(degrade: Degradation) -> bool:
    """Whether a degradation blends with images that it has to be given."""
    return isinstance(degrade, Blend) and degrade.draw_endpoint is None


def _schedule(section: str, value: Any, **known: Any) -> Any:
    """The schedule that named fields describe; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return call_named(section, SCHEDULES, value, **known)


def _dtype(name: str) -> Any:
    """The network's dtype of computation; "auto" is bfloat16 where hardware has it."""
    if name == "auto":
        device = jax.local_devices()[0]
        capability = float(getattr(device, "compute_capability", 0) or 0)
        fast = device.platform == "tpu" or capability >= 8.0
        return jnp.bfloat16 if fast else jnp.float32
    return choose("model.dtype", DTYPES, name)
