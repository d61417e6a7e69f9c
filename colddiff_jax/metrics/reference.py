"""Saved statistics of a set of images, for others to be compared with."""

import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from colddiff_jax import disk
from colddiff_jax.errors import InputError
from colddiff_jax.metrics.distances import Moments
from colddiff_jax.metrics.features import FeatureNet
from colddiff_jax.writers import save_npz

MAX_FEATURES = 10_000
_FORMAT = "colddiff_jax reference 1"
# What may be different on purpose, as in the distance of samples to training images.
_FREE = ("source", "split", "fingerprint", "count")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """What distances to a set of images need to know of it.

    Attributes:
        name: what it is called in messages and tables.
        feature_net: name of the network whose features these are.
        feature_fingerprint: its fingerprint, which tells its weights.
        data: where the images come from and how they were prepared: a dictionary, of
            dictionaries too, that JSON can hold. The keys "source", "split",
            "fingerprint" and "count" say what the images are; all others, such as
            "image_shape", "preprocessing" and "protocol", must be the same in sets that
            are compared.
        moments: of all images.
        features: float32 [n, F] of the first images, for `kernel_distance` and
            `precision_recall`.
    """

    name: str
    feature_net: str
    feature_fingerprint: str
    data: Mapping[str, Any]
    moments: Moments
    features: np.ndarray

    def __post_init__(self) -> None:
        size = self.moments.mean.size
        shapes = (
            self.moments.mean.shape,
            self.moments.covariance.shape,
            self.features.shape,
        )
        if shapes != ((size,), (size, size), (len(self.features), size)):
            raise InputError(
                "mean, covariance and features of a reference must have the shapes "
                f"[F], [F, F] and [n, F], got {shapes}"
            )


def save_reference(path: str, reference: Reference) -> None:
    """Writes a reference as one .npz file, whole or not at all.

    Args:
        path: of the file; an old one is replaced.
        reference: what to write; of its features the first 10,000.

    Raises:
        InputError: the disk refuses.

    Example:
        >>> save_reference("cifar10_train.npz", reference)
    """
    description = {
        "format": _FORMAT,
        "name": reference.name,
        "feature_net": reference.feature_net,
        "feature_fingerprint": reference.feature_fingerprint,
        "data": reference.data,
        "count": reference.moments.count,
    }
    try:
        save_npz(
            path,
            description=np.array(json.dumps(description)),
            mean=reference.moments.mean.astype(np.float64),
            covariance=reference.moments.covariance.astype(np.float64),
            features=reference.features[:MAX_FEATURES].astype(np.float32),
        )
    except OSError as error:
        reason, fix = disk.refusal(error) or (str(error), "")
        raise InputError(f"cannot write {path}: {reason}; {fix}") from error


def load_reference(path: str) -> Reference:
    """Reads what `save_reference` has written.

    Args:
        path: of the file.

    Returns:
        The reference; its features are at most 10,000.

    Raises:
        InputError: the file is missing, damaged or something else.

    Example:
        >>> load_reference("cifar10_train.npz").moments.count
        50000
    """
    try:
        with open(path, "rb") as file:
            content = io.BytesIO(file.read())
    except OSError as error:
        raise InputError(
            f"cannot read the reference {path!r}: {error.strerror}; name a file that "
            "save_reference has written"
        ) from error
    try:
        return _parse(content)
    except Exception as error:  # Damage has a dozen exceptions, and one cure.
        raise InputError(
            f"{path!r} is damaged, or no reference ({type(error).__name__}: {error}); "
            "make it again"
        ) from error


def check_reference(
    reference: Reference, feature_net: FeatureNet, data: Mapping[str, Any]
) -> list[str]:
    """Refuses a reference that cannot be compared with.

    Args:
        reference: the saved one.
        feature_net: the network that is about to be used.
        data: of the images that are compared with it, as in `Reference.data`.

    Returns:
        Notes for whoever reads the distance: what the images differ in on purpose, and
        whether they are few.

    Raises:
        InputError: another network or other weights, or images prepared otherwise.

    Example:
        >>> check_reference(reference, net, {**data, "split": "test"})
        ['split is "train" in reference "cifar10", "test" here']
    """
    where = f'reference "{reference.name}"'
    if reference.feature_net != feature_net.name:
        raise InputError(
            f"{where} has features of {reference.feature_net!r}, not of "
            f"{feature_net.name!r}; use that network, or make a reference with this one"
        )
    if reference.feature_fingerprint != feature_net.fingerprint:
        raise InputError(
            f"{where} has features of {feature_net.name!r} with other weights "
            f"(fingerprint {reference.feature_fingerprint}, here "
            f"{feature_net.fingerprint}); use those, or make it again with these"
        )
    notes = []
    theirs, ours = dict(_flat(reference.data)), dict(_flat(data))
    for key in sorted(theirs.keys() | ours.keys()):
        their, our = (_show(values, key) for values in (theirs, ours))
        if their == our:
            continue
        if key.split(".")[0] not in _FREE:
            raise InputError(
                f"{key} is {their} in {where}, {our} here; prepare the images alike, "
                "or make a reference of images prepared as here"
            )
        notes.append(f"{key} is {their} in {where}, {our} here")
    return notes + note_few_images(reference)


def note_few_images(reference: Reference) -> list[str]:
    """A note for whoever reads its Frechet distances, if its images are too few."""
    count, size = reference.moments.count, len(reference.moments.mean)
    if count > size:
        return []
    return [
        f'reference "{reference.name}" has {count} images for {size} features of '
        f"{reference.feature_net}: Frechet distances to it are too large; compare "
        "them only with those of as many images"
    ]


def _parse(content: io.BytesIO) -> Reference:
    with np.load(content, allow_pickle=False) as arrays:  # Checks the sums of the zip.
        description = json.loads(str(arrays["description"]))
        if description.pop("format") != _FORMAT:
            raise ValueError("of another version")
        count = description.pop("count")
        moments = Moments(count, arrays["mean"], arrays["covariance"])
        return Reference(**description, moments=moments, features=arrays["features"])


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested dictionaries, under names such as preprocessing.pad."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _show(values: Mapping[str, Any], key: str) -> str:
    """A value as the file has it, where a tuple is a list."""
    return json.dumps(values[key]) if key in values else "not given"
