"""Saved feature statistics of a set of images, to compare other sets with."""

import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from colddiff_jax.checks import InputError, listed
from colddiff_jax.feature_nets.features import FeatureNet
from colddiff_jax.io import disk
from colddiff_jax.io.atomic import save_npz
from colddiff_jax.io.npz import open_npz
from colddiff_jax.metrics.distances import Moments
from colddiff_jax.reprs import short_repr

MAX_FEATURES = 10_000
_ARRAYS = ("description", "mean", "covariance", "features")
_FORMAT = "colddiff_jax reference 1"
# Keys that may differ on purpose, as in the distance of samples to training images.
_MAY_DIFFER = ("source", "split", "fingerprint", "count")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """Statistics of a set of images, from which distances to the set are computed.

    Attributes:
        name: name in messages and tables.
        feature_net: name of the network that computed the features.
        feature_fingerprint: fingerprint of that network, which identifies its weights.
        data: origin and preprocessing of the images, as a dictionary, possibly nested,
            that JSON can represent. The keys "source", "split", "fingerprint" and
            "count" identify the images; all others, such as "image_shape",
            "preprocessing" and "protocol", must be equal in sets that are compared.
        moments: moments of all images.
        features: features of the first images, float32 [n, F], for `kernel_distance`
            and `precision_recall`.
    """

    name: str
    feature_net: str
    feature_fingerprint: str
    data: Mapping[str, Any]
    moments: Moments
    features: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)

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
    """Writes a reference to an .npz file, atomically.

    Args:
        path: path of the file; an existing file is replaced.
        reference: the reference; only the first 10,000 rows of its features are saved.

    Raises:
        InputError: the file cannot be written.

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
    """Reads a reference written by `save_reference`.

    Args:
        path: path of the file.

    Returns:
        The reference, with at most 10,000 rows of features.

    Raises:
        InputError: the file is missing, damaged or not a reference.

    Example:
        >>> load_reference("cifar10_train.npz").moments.count
        50000
    """
    try:
        with open(path, "rb") as file:
            content = io.BytesIO(file.read())
    except OSError as error:
        raise InputError(
            f"cannot read the reference {path!r}: {error.strerror}; pass a file "
            "written by save_reference"
        ) from error
    try:
        return _parse(content)
    except Exception as error:  # A damaged file raises one of a dozen types.
        raise InputError(
            f"{path!r} is damaged or not a reference ({type(error).__name__}: {error})"
            "; pass a file written by save_reference"
        ) from error


def check_reference(
    reference: Reference, feature_net: FeatureNet, data: Mapping[str, Any]
) -> list[str]:
    """Checks that images can be compared with a reference.

    Args:
        reference: the saved reference.
        feature_net: the network that computes the features of the images.
        data: description of the images, as in `Reference.data`.

    Returns:
        Notes on how to read the distance: permitted differences between the two sets,
        and whether the reference has too few images.

    Raises:
        InputError: the network, its weights or the preprocessing of the images differ.

    Example:
        >>> check_reference(reference, net, {**data, "split": "test"})
        ['split is "train" in reference "cifar10_train", "test" here']
    """
    where = f'reference "{reference.name}"'
    if reference.feature_net != feature_net.name:
        raise InputError(
            f"{where} has features of {reference.feature_net!r}, not of "
            f"{feature_net.name!r}; use that network, or create a reference with this "
            "one"
        )
    if reference.feature_fingerprint != feature_net.fingerprint:
        raise InputError(
            f"{where} has features of {feature_net.name!r} with different weights "
            f"(fingerprint {reference.feature_fingerprint}, here "
            f"{feature_net.fingerprint}); use those weights, or create the reference "
            "again with these"
        )
    notes = []
    theirs, ours = dict(_flatten(reference.data)), dict(_flatten(data))
    for key in sorted(theirs.keys() | ours.keys()):
        their, our = (_to_json(values, key) for values in (theirs, ours))
        if their == our:
            continue
        if key.split(".")[0] not in _MAY_DIFFER:
            raise InputError(
                f"{key} is {their} in {where}, {our} here; preprocess the images as "
                "in the reference, or create a reference with the settings used here"
            )
        notes.append(f"{key} is {their} in {where}, {our} here")
    return notes + note_few_images(reference)


def note_few_images(reference: Reference) -> list[str]:
    """Returns a note on Frechet distances if the reference has too few images."""
    count, size = reference.moments.count, len(reference.moments.mean)
    if count > size:
        return []
    return [
        f'reference "{reference.name}" has {count} images for {size} features of '
        f"{reference.feature_net}: Frechet distances to it are too large; compare "
        "them only with distances for the same number of images"
    ]


def _parse(content: io.BytesIO) -> Reference:
    with open_npz(content) as opened:
        # Reading verifies CRC sums.
        arrays = {name: opened[name] for name in _ARRAYS if name in opened.files}
        if missing := [name for name in _ARRAYS if name not in arrays]:
            raise ValueError(
                f"it lacks {', '.join(missing)} and holds {listed(opened.files)}"
            )
    description = json.loads(str(arrays["description"]))
    if description.pop("format") != _FORMAT:
        raise ValueError("wrong format or version")
    count = description.pop("count")
    moments = Moments(count, arrays["mean"], arrays["covariance"])
    return Reference(**description, moments=moments, features=arrays["features"])


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the entries of nested dictionaries, with keys like preprocessing.pad."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _to_json(values: Mapping[str, Any], key: str) -> str:
    """Returns a value as JSON, in which a tuple becomes a list."""
    return json.dumps(values[key]) if key in values else "not given"
