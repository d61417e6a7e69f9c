"""Loads feature networks by name, or trains one on the data of a run."""

import os
from collections.abc import Sequence

from colddiff_jax.checks import InputError
from colddiff_jax.data import ImageSplits
from colddiff_jax.evaluation.settings import LEAST_OF_SETS, check_count
from colddiff_jax.experiment.builders import load_splits
from colddiff_jax.experiment.model import Model
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.feature_nets.array_networks import load_feature_net
from colddiff_jax.feature_nets.classifier import classifier
from colddiff_jax.feature_nets.inception import (
    INCEPTION_FILE,
    INCEPTION_SHA256,
    INCEPTION_URL,
    load_inception,
)
from colddiff_jax.feature_nets.weights import cache_folder, find_weights


def choose_nets(
    names: Sequence[str],
    model: Model,
    *,
    num_images: int,
    splits: ImageSplits | None = None,
) -> list[FeatureNet]:
    """Returns the feature networks with these names.

    Args:
        names: each is "inception" (see `find_weights` for where its file may be),
            "classifier" (trained on the run's training images unless cached), or a file
            of weights: npz, which may be in the same folders, or Inception's pth.
            "auto" alone means Inception if its file is found, and the classifier if the
            images are grey and have labels, or no network if there are too few images;
            "none" alone means no network.
        model: the model of a `Restorer`.
        num_images: the number of images to compare.
        splits: labelled images to use instead of the configured ones.

    Raises:
        InputError: an unknown name, a missing or unexpected file, images without labels
            for a classifier, or too few images for distances between sets.
    """
    if list(names) == ["none"]:
        return []
    if list(names) == ["auto"]:
        if num_images < LEAST_OF_SETS:
            print(f"no distances between sets: {num_images} images are too few")
            return []
        names = ["inception"] if find_weights(INCEPTION_FILE) else []
        if not names:
            print(
                f"no FID: {INCEPTION_FILE} (SHA-256 {INCEPTION_SHA256}) was not found; "
                f"its address is {INCEPTION_URL}; other feature networks give other "
                "distances (features)"
            )
        if model.image_shape[-1] == 1 and _has_labels(model, splits):
            names = [*names, "classifier"]
    if names:
        check_count(num_images)
    return [_make_net(name, model, splits) for name in dict.fromkeys(names)]


def _make_net(name: str, model: Model, splits: ImageSplits | None) -> FeatureNet:
    if name == "inception":
        return load_inception()
    if name == "classifier":
        return _classifier(model, splits)
    if name.endswith(".pth"):
        return load_inception(name)
    if name.endswith(".npz"):
        path = name if os.path.isfile(name) else find_weights(name)
        return load_feature_net(path or name)
    raise InputError(
        "`features` must be auto, none, or among inception, classifier and files of "
        f"weights (.npz or .pth), separated by commas; got {name!r}"
    )


def _load_labelled(model: Model, splits: ImageSplits | None) -> ImageSplits:
    """Returns the run's images with labels; raises InputError if it has none."""
    if splits is None:
        return load_splits("data", model.config["data"], labels=True)
    if splits.train_labels is None:
        raise InputError("the images have no labels")
    return splits


def _has_labels(model: Model, splits: ImageSplits | None) -> bool:
    try:
        _load_labelled(model, splits)
    except InputError:
        return False
    return True


def _classifier(model: Model, splits: ImageSplits | None) -> FeatureNet:
    """Returns a classifier of the run's training images, trained unless cached."""
    try:
        splits = _load_labelled(model, splits)
    except InputError as error:
        raise InputError(
            f"a classifier needs the run's images and their labels: {error}; or choose "
            "other feature networks with `features`"
        ) from error
    trained = classifier(splits, model.preprocessing, cache=cache_folder())
    print(f"classifier: accuracy {trained.accuracy:.2%} on the test images")
    return trained.net
