"""Sets of images to restore: a split of a run's data, or a folder of images."""

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
    load_image,
    stack,
)
from colddiff_jax.experiment.data import RunData, open_data, open_endpoints
from colddiff_jax.experiment.model import Model
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.restorer import Restorer


class ImageSet(NamedTuple):
    """Images to restore, with their labels, endpoints and preprocessing.

    Attributes:
        source: the folder they come from, or "" for the data of the run.
        split: "test" or "train"; "" for a folder.
        images: uint8 [H, W, C] each, of any sizes.
        labels: their classes, int32 [N], or None.
        endpoints: images that a blend degrades them into, or None; reused cyclically
            if there are fewer.
        preprocessing: how images are resized and cropped.
        paired: whether endpoints are the images' partners, and cropped like them.
    """

    source: str
    split: str
    images: Images
    labels: np.ndarray | None
    endpoints: Images | None
    preprocessing: Preprocessing
    paired: bool = False

    def __repr__(self) -> str:
        return short_repr(self)

    def load(self, indices: Sequence[int] | np.ndarray, *, crop: bool = True) -> Batch:
        """Loads the images with these indices, with their labels and endpoints.

        Args:
            indices: the indices of the images.
            crop: whether to take the centre crop; False leaves cropping to
                `Preprocessing.augment`.

        Raises:
            InputError: images of different sizes, without crop.
        """
        prepare = self.preprocessing.test if crop else self.preprocessing.resize
        labels, endpoints = None, None
        if self.labels is not None:
            labels = self.labels[np.asarray(indices)]
        if self.endpoints is not None:
            cut = prepare if self.paired else self.preprocessing.test
            chosen = [self.endpoints[i % len(self.endpoints)] for i in indices]
            endpoints = stack([cut(image) for image in chosen])
        images = stack([load_image(self.images, int(i), prepare) for i in indices])
        return Batch(images, labels, endpoints)

    def describe(self, num_images: int, data_set: str) -> dict[str, Any]:
        """Describes the first images of this set, as in `Reference.data`.

        Args:
            num_images: the number of images.
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
    splits, endpoints, paired = data
    train = split == "train"
    return ImageSet(
        source="",
        split=split,
        images=splits.train if train else splits.test,
        labels=splits.train_labels if train else splits.test_labels,
        endpoints=endpoints and (endpoints.train if train else endpoints.test),
        preprocessing=preprocessing,
        paired=paired,
    )


def images_of_run(
    restorer: Restorer, split: str = "test", *, splits: ImageSplits | None = None
) -> ImageSet:
    """Opens the images that the configuration of a run names.

    Prints a line if the run was trained on other images, for example on arrays in a
    notebook.

    Args:
        restorer: from `load_run`.
        split: "test" or "train".
        splits: images to use instead of the configured ones.

    Raises:
        InputError: images that are missing or do not fit the model.
    """
    model = restorer.model
    try:
        data = open_data(model.config, model.degrade, splits=splits)
    except InputError as error:
        if splits is not None:
            raise
        raise InputError(
            f"{error} (from the configuration of the run); for other images there are "
            "sample.py --photo and evaluate.py --folder"
        ) from error
    _check_channels(model, data.channels)
    if splits is None and data.fingerprint() != restorer.trained_on:
        print(
            f"data.source {model.config['data']['source']!r} now gives other images "
            "than the run was trained on",
            flush=True,
        )
    return split_of(data, model.preprocessing, split)


def images_of_folder(model: Model, path: str) -> ImageSet:
    """Opens all image files in a folder; the data of the run need not exist.

    Args:
        model: of a `Restorer`.
        path: of the folder.

    Raises:
        InputError: no such folder, no images or too many unreadable ones in it, or a
            model that also needs labels or degraded partners.
    """
    if model.num_classes:
        raise InputError(
            "this model is conditional on classes, and a folder of images has no "
            "labels; use the test split of the run"
        )
    if model.paired:
        raise InputError(
            "this model was trained on pairs, and a folder of images has no degraded "
            "partners; use the test split of the run, or restore degraded photographs"
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
            f"the model restores images with {expected} channel(s), and these have "
            f"{channels}"
        )
