"""Checks the settings of an evaluation before any work."""

import collections
from collections.abc import Mapping, Sequence
from typing import Literal

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.evaluation.protocol import SOUND, Protocol
from colddiff_jax.evaluation.summary import NUM_NEIGHBOURS
from colddiff_jax.experiment.model import Model
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.metrics.reference import Reference
from colddiff_jax.prng import check_seed
from colddiff_jax.restoration.image_set import ImageSet
from colddiff_jax.restoration.samplers import (
    check_endpoint,
    parse_samplers,
)


def check_settings(
    model: Model,
    *,
    images: ImageSet,
    num_images: int = 0,
    samplers: Sequence[str] | None = None,
    seeds: Sequence[int] = (),
    protocol: Protocol = SOUND,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    batch_size: int = 200,
) -> range:
    """Checks settings of `evaluate` against a model, and selects the images to score.

    This takes no time; call it before making feature networks, which can take minutes.

    Args:
        model: the model of a `Restorer`.
        images: as in `evaluate`.
        num_images: as in `evaluate`.
        samplers: as in `evaluate`.
        seeds: as in `evaluate`.
        protocol: as in `evaluate`.
        endpoint: as in `evaluate`.
        batch_size: as in `evaluate`.

    Returns:
        The indices of the images to score.

    Raises:
        InputError: settings that do not fit the model or each other.
    """
    specs = parse_samplers(samplers, model.degrade, target=model.target)
    for fault in ("sampler_one_step_behind", "degraded_after_one_step"):
        if model.target != "clean" and fault in protocol.faults:
            raise InputError(
                f"the fault {fault} needs predictions of clean images, and this model "
                "predicts the step before (objective.target previous); leave it out of "
                "`protocol`"
            )
    if protocol.sampler_one_step_behind and any(spec.consistent for spec in specs):
        raise InputError(
            "`samplers` with +consistent need to know D at every step, and `protocol` "
            "sampler_one_step_behind gives them another; leave one of them out"
        )
    check_endpoint(endpoint, model.degrade)
    estimated = endpoint == "estimated" or "ddim" in [spec.sampler for spec in specs]
    if estimated and protocol.sampler_one_step_behind:
        raise InputError(
            "the fault sampler_one_step_behind needs a fixed endpoint, but `endpoint` "
            "estimated and the sampler ddim estimate it; leave out one of the two"
        )
    num_devices = devices.num_local_devices()
    devices.check_batch_size("`batch_size`", batch_size, num_devices)
    for seed in seeds:
        check_seed(seed)
    first = int(protocol.first_image_skipped)
    available = len(images.images) - first
    if available < 1:
        raise InputError(
            f"there is nothing to score: of {available + first} image(s) the protocol "
            f"skips {first}"
        )
    if not 0 <= num_images <= available:
        raise InputError(
            f"`num_images` must lie in 1..{available}, or be 0 for all of them; got "
            f"{num_images}"
        )
    return range(first, first + (num_images or available))


LEAST_OF_SETS = NUM_NEIGHBOURS + 2
"""The number of images that distances between sets need."""


def check_count(num_images: int) -> None:
    """Raises InputError if there are too few images for distances between sets."""
    if num_images < LEAST_OF_SETS:
        raise InputError(
            f"distances between sets need at least {LEAST_OF_SETS} images, got "
            f"{num_images}; increase `num_images` or set `features` to none"
        )


def check_nets(
    nets: Sequence[FeatureNet],
    references: Mapping[str, Reference],
    protocol: Protocol,
    num_images: int,
) -> None:
    """Raises InputError for feature networks that do not fit the other settings.

    Args:
        nets: as in `evaluate`.
        references: as in `evaluate`.
        protocol: as in `evaluate`.
        num_images: the number of images to score.
    """
    for name, count in collections.Counter(net.name for net in nets).items():
        if count > 1:
            raise InputError(
                f"{count} feature networks are called {name!r}; give each its own name "
                "(rename the file of weights)"
            )
    if protocol.feature_rows_unfilled and references:
        raise InputError(
            "the fault feature_rows_unfilled affects both sets that are compared, but "
            "saved references do not have it; leave out one of the two"
        )
    if nets:
        check_count(num_images)
