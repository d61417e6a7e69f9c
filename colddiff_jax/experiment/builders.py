"""Builds degradations, networks and data from sections of a configuration."""

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import degradations, models, schedules
from colddiff_jax.checks import InputError
from colddiff_jax.data import SOURCES, ImageSplits, Preprocessing
from colddiff_jax.degradations.base import Degradation, endpoint_kind
from colddiff_jax.experiment import own_degradation, own_network
from colddiff_jax.experiment.field_types import converted
from colddiff_jax.experiment.sections import (
    call,
    call_named,
    check_fields,
    choose,
    chosen,
    in_section,
    only,
    parameters_of,
)
from colddiff_jax.models.options import check_options

DEGRADATIONS: dict[str, Callable] = {
    "animorph": degradations.animorph,
    "blend": degradations.blend,
    "blur_and_noise": degradations.blur_and_noise,
    "desaturate": degradations.desaturate,
    "fade": degradations.fade,
    "fade_to_color": degradations.fade_to_color,
    "gaussian_blur": degradations.gaussian_blur,
    "gaussian_mask": degradations.gaussian_mask,
    "gaussian_noise": degradations.gaussian_noise,
    "heat_blur": degradations.heat_blur,
    "holes": degradations.holes,
    "jpeg_like": degradations.jpeg_like,
    "motion_blur": degradations.motion_blur,
    "own": own_degradation.own,
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
    "linear_betas": schedules.linear_betas,
    "linear_decay": schedules.linear_decay,
    "logit_normal": schedules.logit_normal,
    "power": schedules.power,
}
NETWORKS: dict[str, Callable] = {
    "convnext": models.ConvNeXtUNet,
    "own": own_network.own,
    "unet": models.UNet,
}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def load_splits(
    section: str, fields: Mapping[str, Any], *, labels: bool
) -> ImageSplits:
    """Opens the source of images that `fields["source"]` names.

    Args:
        section: "data" or "endpoints".
        fields: the fields of the section. Those of other sources and of the
            preprocessing are ignored, so that one flag switches the source.
        labels: whether to read labels.

    Raises:
        InputError: an unknown source or field, or missing images.
    """
    fields = {n: v for n, v in fields.items() if n not in parameters_of(Preprocessing)}
    source = choose(f"{section}.source", SOURCES, fields.pop("source", None))
    parameters = inspect.signature(source).parameters
    known = {n for s in SOURCES.values() for n in inspect.signature(s).parameters}
    check_fields(section, fields, sorted(known - {"labels"}), [])
    options = {"labels": labels} if "labels" in parameters else {}
    if labels and not options:
        raise InputError(f"`{section}.source` {source.__name__} has no labels")
    try:
        return call(section, source, only(fields, parameters) | options)
    except InputError as error:  # Sources name fields of the section data.
        message = re.sub(r"`data\.", f"`{section}.", str(error))
        raise InputError(message) from error


def make_preprocessing(fields: Mapping[str, Any]) -> Preprocessing:
    """Makes the preprocessing that the section data describes."""
    return call("data", Preprocessing, only(fields, parameters_of(Preprocessing)))


def make_degradation(
    fields: Any, image_size: int, *, at: tuple[int, int] | None = None
) -> Degradation:
    """Makes the degradation; a nested section describes a schedule.

    Args:
        fields: the section degradation; `fade_to_black` is the `keep` of a `fade` that
            follows, and `noise_stds` and `noise_gains` are the stds and gains of
            `noisy`, the noise on top.
        image_size: side of the images that the configuration is for.
        at: (height, width) of other images to degrade in the same way: lengths in
            pixels stay, and the `sizes` of pixelated images grow with the image.
    """
    if not isinstance(fields, Mapping):
        return call_named("degradation", DEGRADATIONS, fields)
    fields = {
        name: make_schedule(f"degradation.{name}", value, image_size=image_size)
        for name, value in fields.items()
    }
    added = {
        name: converted(
            f"degradation.{name}", fields.pop(name, ()), Sequence[float] | np.ndarray
        )
        for name in ("fade_to_black", "noise_stds", "noise_gains")
    }
    if at is not None and "sizes" in fields:
        sizes = np.asarray(fields["sizes"])
        sizes = sizes[:, None] if sizes.ndim == 1 else sizes
        fields["sizes"] = sizes * np.asarray(at) // image_size
    degrade = call_named(
        "degradation", DEGRADATIONS, fields, image_size=at or image_size
    )
    degrade = _with_fade(degrade, fields["name"], added["fade_to_black"])
    return _with_noise(
        degrade, fields["name"], added["noise_stds"], added["noise_gains"]
    )


def _with_fade(
    degrade: Degradation, name: str, keep: Sequence[float] | np.ndarray
) -> Degradation:
    """Returns D followed by the fade of `fade_to_black`, if there is any."""
    field = "`degradation.fade_to_black`"
    if not len(keep):
        return degrade
    if endpoint_kind(degrade) is not None:
        raise InputError(
            f"{field} must be empty for a blend with noise, a colour or images, got "
            f"{name} with {len(keep)} values"
        )
    if len(keep) != degrade.num_steps:
        raise InputError(
            f"{field} must have one value per step of the degradation, "
            f"{degrade.num_steps}, got {len(keep)}"
        )
    try:
        return degradations.compose(degrade, degradations.fade(keep, to=-1.0))
    except ValueError as error:
        raise InputError(f"{field} {str(error).removeprefix('keep ')}") from error


def _with_noise(
    degrade: Degradation,
    name: str,
    stds: Sequence[float] | np.ndarray,
    gains: Sequence[float] | np.ndarray,
) -> Degradation:
    """Returns D with the noise of `noise_stds` and `noise_gains`, if there is any."""
    if not len(stds):
        if len(gains):
            raise InputError(
                "`degradation.noise_gains` are those of noise, and "
                "`degradation.noise_stds` is empty; set both or neither"
            )
        return degrade
    if (kind := endpoint_kind(degrade)) in ("noise", "color"):
        raise InputError(
            f"`degradation.noise_stds` must be empty for a blend with {kind}, got "
            f"{name} with {len(stds)} values"
        )
    try:
        return degradations.noisy(degrade, stds, gains=gains if len(gains) else None)
    except ValueError as error:
        field, _, rest = str(error).partition(" ")
        raise InputError(f"`degradation.noise_{field}` {rest}") from error


def size_multiple(fields: Mapping[str, Any], image_size: int) -> int:
    """Returns the number of pixels in the blocks of a pixelation; otherwise 1.

    Args:
        fields: the section degradation.
        image_size: side of the images that the configuration is for.
    """
    if "sizes" not in fields:
        return 1
    sizes = make_schedule("degradation.sizes", fields["sizes"], image_size=image_size)
    blocks = [image_size // math.gcd(image_size, int(s)) for s in np.ravel(sizes)]
    return math.lcm(*blocks)


def make_schedule(section: str, value: Any, **known: Any) -> Any:
    """Makes the schedule that a section describes; returns other values unchanged."""
    if not isinstance(value, Mapping):
        return value
    return call_named(section, SCHEDULES, value, **known)


def make_network(fields: Mapping[str, Any]) -> nn.Module:
    """Makes the network that the section model describes, without preconditioning."""
    if isinstance(fields, Mapping):
        around = ("precondition", "consistent_noise", "see_endpoint")
        fields = {n: v for n, v in fields.items() if n not in around}
        dtype = fields.pop("dtype", "auto")
        if "dtype" in parameters_of(chosen("model", NETWORKS, fields)):
            fields["dtype"] = _dtype(dtype)
    network = call_named("model", NETWORKS, fields)
    try:
        check_options(network)  # Flax would only check them when it is first called.
    except ValueError as error:
        raise InputError(in_section("model", str(error), fields)) from error
    return network


def _dtype(name: str) -> Any:
    """Returns the network's compute dtype; "auto" is bfloat16 where it is fast."""
    if name == "auto":
        device = jax.local_devices()[0]
        capability = str(getattr(device, "compute_capability", ""))
        fast = device.platform == "tpu" or has_fast_bfloat16(capability)
        return jnp.bfloat16 if fast else jnp.float32
    return choose("model.dtype", DTYPES, name)


def has_fast_bfloat16(capability: str) -> bool:
    """Whether GPUs of a compute capability multiply bfloat16 faster than float32.

    Args:
        capability: of an NVIDIA GPU, such as "8.0", where Ampere is the first with fast
            bfloat16; or the architecture of an AMD GPU, such as "gfx90a", where CDNA
            has it from the first on.
    """
    nvidia = r"([89]|[1-9]\d+)\.\d+\w*"
    amd = r"gfx9(08|0a|4\w|5\w)\b.*"
    return bool(re.fullmatch(f"{nvidia}|{amd}", capability))
