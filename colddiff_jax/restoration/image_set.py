"""Sets of images to restore: a split of a run's data, or any folder."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data import (
    Batch,
    Images,
    ImageSplits,
    Preprocessing,
    fingerprint,
    images_in_folder,
    stack,
)
from colddiff_jax.experiment.data import RunData, open_data, open_endpoints
from colddiff_jax.experiment.model import Model
from colddiff_jax.restoration.load import Restorer


class ImageSet(NamedTuple):
    """Images to restore, with everything the restorer needs of them.

    Attributes:
        source: the folder they are from, or "" for the data of the run.
        split: "test" or "train"; "" in a folder.
        images: uint8 [H, W, C] of any sizes.
        labels: their classes, int32 [N], or None.
        endpoints: images that a blend degrades them into, or None; used cyclically, so
            there may be fewer.
        preprocessing: how images are resized and cropped.
    """

    source: str
    split: str
    images: Images
    labels: np.ndarray | None
    endpoints: Images | None
    preprocessing: Preprocessing

    def load(self, indices: Sequence[int] | np.ndarray, *, crop: bool = True) -> Batch:
        """Loads the images with these indices, with their labels and endpoints.

        Args:
            indices: of the images.
            crop: whether to take the centre crop, or leave cropping to
                `Preprocessing.augment`.
        """
        prepare = self.preprocessing.test if crop else self.preprocessing.resize
        labels, endpoints = None, None
        if self.labels is not None:
            labels = self.labels[np.asarray(indices)]
        if self.endpoints is not None:
            chosen = [self.endpoints[i % len(self.endpoints)] for i in indices]
            endpoints = np.stack([self.preprocessing.test(image) for image in chosen])
        return Batch(
            stack([prepare(self.images[i]) for i in indices]), labels, endpoints
        )

    def describe(self, num_images: int, data_set: str) -> dict[str, Any]:
        """Describes the first images of this set, as in `Reference.data`.

        Args:
            num_images: how many.
            data_set: the name of the run's data.
        """
        size = self.preprocessing.image_size
        return {
            "source": self.source or data_set,
            "split": self.split,
            "fingerprint": fingerprint(self.images, labels=self.labels),
            "count": num_images,
            "image_shape": [size, size, self.images[0].shape[-1]],
            "preprocessing": {"resize_to": self.preprocessing.resize_to},
        }


def split_of(
    data: RunData, preprocessing: Preprocessing, split: str = "test"
) -> ImageSet:
    """Returns the test images of a run, or with split="train" its training images."""
    splits, endpoints = data
    train = split == "train"
    return ImageSet(
        source="",
        split=split,
        images=splits.train if train else splits.test,
        labels=splits.train_labels if train else splits.test_labels,
        endpoints=endpoints and (endpoints.train if train else endpoints.test),
        preprocessing=preprocessing,
    )


def images_of_run(
    restorer: Restorer, split: str = "test", *, splits: ImageSplits | None = None
) -> ImageSet:
    """Opens the images that the configuration of a run names.

    Prints a line if they are not those that the run was trained on, for example after
    training on arrays in a notebook.

    Args:
        restorer: from `load_run`.
        split: "test" or "train".
        splits: images to use instead of those of the configuration.

    Raises:
        InputError: images that are missing or do not fit the model.
    """
    model = restorer.model
    try:
        data = open_data(model.config, model.degrade, splits=splits)
    except InputError as error:
        if splits is not None:
            raise
        raise InputError(f"{error} (as in the configuration of the run)") from error
    _check_channels(model, data.channels)
    if splits is None and data.fingerprint() != restorer.trained_on:
        print(
            f"data.source {model.config['data']['source']!r} gives other images now "
            "than the run was trained on",
            flush=True,
        )
    return split_of(data, model.preprocessing, split)


def images_of_folder(model: Model, path: str) -> ImageSet:
    """Opens all image files in a folder, for a model that may have no other data.

    Args:
        model: of a `Restorer`.
        path: of the folder.

    Raises:
        InputError: no such folder, no images in it, too many that cannot be read, or a
            model that needs more than images.
    """
    if model.num_classes:
        raise InputError(
            "this model is conditional on classes, and a folder without training "
            "images does not number its classes; use the test split of the run"
        )
    endpoints = open_endpoints(model.config, model.degrade)
    return ImageSet(
        source=path,
        split="",
        images=images_in_folder(path, channels=model.image_shape[-1]),
        labels=None,
        endpoints=endpoints and endpoints.test,
        preprocessing=model.preprocessing,
    )


def _check_channels(model: Model, channels: int) -> None:
    expected = model.image_shape[-1]
    if channels != expected:
        raise InputError(
            f"the model restores images of {expected} channel(s), and these have "
            f"{channels}"
        )
