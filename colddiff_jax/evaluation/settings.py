"""Checks of the settings of an evaluation, before any work."""

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
from colddiff_jax.restoration.image_set import ImageSet
from colddiff_jax.restoration.samplers import (
    DEFAULT_SAMPLERS,
    check_endpoint,
    parse_samplers,
)


def check_settings(
    model: Model,
    *,
    images: ImageSet,
    num_images: int = 0,
    samplers: Sequence[str] = DEFAULT_SAMPLERS,
    seeds: Sequence[int] = (),
    protocol: Protocol = SOUND,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    batch_size: int = 200,
) -> range:
    """Checks settings of `evaluate` against a model, and returns what it would score.

    This takes no time; call it before making feature networks, which can take minutes.

    Args:
        model: of a `Restorer`.
        images: this and all that follows as in `evaluate`.
        num_images: the number of images.
        samplers: their names.
        seeds: of the random part of the degradation.
        protocol: the faults to repeat.
        endpoint: fixed or estimated.
        batch_size: images restored at once.

    Returns:
        The indices of the images to score.

    Raises:
        InputError: settings that do not fit the model or each other.
    """
    parse_samplers(samplers, model.degrade)
    check_endpoint(endpoint, model.degrade)
    num_devices = devices.num_local_devices()
    devices.check_batch_size("`batch_size`", batch_size, num_devices)
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise InputError(f"the seed must lie in 0..{2**32 - 1}, got {seed}")
    first = int(protocol.first_image_skipped)
    available = len(images.images) - first
    if available < 1:
        raise InputError(
            f"there is nothing to score: the set has {available + first} image(s), of "
            f"which the protocol skips {first}"
        )
    if not 0 <= num_images <= available:
        raise InputError(
            f"`num_images` must lie in 1..{available}, or be 0 for all of them; got "
            f"{num_images}"
        )
    return range(first, first + (num_images or available))


def check_count(num_images: int) -> None:
    """Raises InputError for too few images to compute distances between sets."""
    least = NUM_NEIGHBOURS + 2
    if num_images < least:
        raise InputError(
            f"distances between sets need at least {least} images, got {num_images}; "
            "increase `num_images` or set `features` to none"
        )


def check_nets(
    nets: Sequence[FeatureNet],
    references: Mapping[str, Reference],
    protocol: Protocol,
    num_images: int,
) -> None:
    """Raises InputError for feature networks that do not fit the rest.

    Args:
        nets: as for `evaluate`.
        references: likewise.
        protocol: likewise.
        num_images: the number of images to score.
    """
    for name, count in collections.Counter(net.name for net in nets).items():
        if count > 1:
            raise InputError(
                f"{count} feature networks are called {name!r}; give each a name of "
                "its own (that of a file of weights is the file's)"
            )
    if protocol.feature_rows_unfilled and references:
        raise InputError(
            "the fault feature_rows_unfilled affects both sets that are compared, and "
            "a saved reference does not have it; leave one of them out"
        )
    if nets:
        check_count(num_images)
