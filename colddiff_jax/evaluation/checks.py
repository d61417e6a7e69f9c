"""What an evaluation refuses before it begins."""

import collections
from collections.abc import Mapping, Sequence
from typing import Literal

from colddiff_jax import parallel
from colddiff_jax.errors import InputError
from colddiff_jax.evaluation.image_set import ImageSet
from colddiff_jax.evaluation.methods import DEFAULT, check_endpoint, parse_methods
from colddiff_jax.evaluation.protocol import SOUND, Protocol
from colddiff_jax.evaluation.summary import NUM_NEIGHBOURS
from colddiff_jax.metrics.features import FeatureNet
from colddiff_jax.metrics.reference import Reference
from colddiff_jax.runs import Run


def check_settings(
    run: Run,
    *,
    images: ImageSet,
    num_images: int = 0,
    samplers: Sequence[str] = DEFAULT,
    seeds: Sequence[int] = (),
    protocol: Protocol = SOUND,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    batch_size: int = 200,
) -> range:
    """Tells what `evaluate` will score, or refuses what does not fit the run.

    It takes no time: to be called before feature networks are made, which can take
    minutes.

    Args:
        run: from `load_run`.
        images: as for `evaluate`, as all that follow.
        num_images: see there.
        samplers: see there.
        seeds: see there.
        protocol: see there.
        endpoint: see there.
        batch_size: see there.

    Returns:
        The numbers of the images to score.

    Raises:
        InputError: settings that do not fit the run or each other.
    """
    degrade = run.experiment.degrade
    parse_methods(samplers, degrade.num_steps)
    check_endpoint(endpoint, degrade)
    num_devices = parallel.num_local_devices()
    parallel.check_batch_size("batch_size", batch_size, num_devices)
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise InputError(f"the seed must lie in 0..{2**32 - 1}, got {seed}")
    first = int(protocol.first_image_skipped)
    available = len(images.images) - first
    if available < 1:
        raise InputError(
            f"there is nothing to score: the set has {available + first} image(s), of "
            f"which the protocol leaves {first} out"
        )
    if not 0 <= num_images <= available:
        raise InputError(
            f"num_images must lie in 1..{available}, or be 0 for all of them; got "
            f"{num_images}"
        )
    return range(first, first + (num_images or available))


def check_count(num_images: int) -> None:
    """Raises InputError for too few images to tell distances between sets."""
    least = NUM_NEIGHBOURS + 2
    if num_images < least:
        raise InputError(
            f"distances between sets need at least {least} images, got {num_images}; "
            "take more with --num_images or none of them with --features=none"
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
        num_images: how many images are scored.
    """
    for name, count in collections.Counter(net.name for net in nets).items():
        if count > 1:
            raise InputError(
                f"{count} feature networks are called {name!r}; give each a name of "
                "its own (that of a file of weights is the file's)"
            )
    if protocol.feature_rows_unfilled and references:
        raise InputError(
            "the fault feature_rows_unfilled is in both sets that are compared, and a "
            "saved reference does not have it; leave one of them out"
        )
    if nets:
        check_count(num_images)
