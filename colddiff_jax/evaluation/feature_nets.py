"""The feature networks that a user names, for the data at hand."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from colddiff_jax.data import ImageSplits
from colddiff_jax.errors import InputError
from colddiff_jax.evaluation.checks import check_count
from colddiff_jax.metrics.array_networks import load_feature_net
from colddiff_jax.metrics.classifier import classifier
from colddiff_jax.metrics.features import FeatureNet
from colddiff_jax.metrics.inception import (
    INCEPTION_FILE,
    INCEPTION_SHA256,
    load_inception,
)
from colddiff_jax.metrics.weights import cache_folder, find_weights
from colddiff_jax.training import components
from colddiff_jax.training.experiment import Experiment


def choose_nets(
    names: Sequence[str],
    experiment: Experiment,
    config: Mapping[str, Any],
    *,
    num_images: int,
) -> list[FeatureNet]:
    """The feature networks with these names.

    Args:
        names: each "inception" (whose file is looked for), "classifier" (trained on the
            run's training images if need be), or a file of weights: npz, which is
            looked for, too, or Inception's pth. "auto" alone stands for Inception if
            its file is found, and the classifier where the images are grey and have
            labels; "none" for none.
        experiment: of the run.
        config: its configuration.
        num_images: how many images they will see.

    Raises:
        InputError: an unknown name, a file that is not there or is another, images
            without labels for a classifier, or too few images for any network.
    """
    if list(names) == ["none"]:
        return []
    if list(names) == ["auto"]:
        names = ["inception"] if find_weights(INCEPTION_FILE) else []
        if not names:
            print(
                f"no FID: {INCEPTION_FILE} (SHA-256 {INCEPTION_SHA256}) was not found; "
                "for distances by other networks see --features"
            )
        grey = experiment.image_shape[-1] == 1
        if grey and _labelled(experiment, config):
            names = [*names, "classifier"]
    if names:
        check_count(num_images)
    nets = []
    for name in dict.fromkeys(names):
        if name == "inception":
            nets.append(load_inception())
        elif name == "classifier":
            nets.append(_classifier(experiment, config))
        elif name.endswith(".pth"):
            nets.append(load_inception(name))
        elif name.endswith(".npz"):
            here = os.path.isfile(name)
            nets.append(load_feature_net(name if here else find_weights(name) or name))
        else:
            raise InputError(
                "features must be auto, none, or among inception, classifier and files "
                f"of weights (.npz or .pth), separated by commas; got {name!r}"
            )
    return nets


def _labelled(experiment: Experiment, config: Mapping[str, Any]) -> ImageSplits | None:
    """The run's images with their labels; None where the source has no labels."""
    splits = experiment.splits
    if splits.train_labels is not None:
        return splits
    # A run without classes has dropped them.
    _, data = components.split_preprocessing(config["data"])
    try:
        return components.load_splits("data", data, labels=True)
    except InputError:
        return None


def _classifier(experiment: Experiment, config: Mapping[str, Any]) -> FeatureNet:
    """A classifier of the run's own training images, which may have to be trained."""
    splits = _labelled(experiment, config)
    if splits is None:
        raise InputError(
            "a classifier needs labels, and data.source "
            f"{config['data']['source']} gives none for these images; name other "
            "feature networks with --features"
        )
    trained = classifier(splits, experiment.preprocessing, cache=cache_folder())
    print(f"classifier: {trained.accuracy:.2%} of the test images recognised")
    return trained.net
