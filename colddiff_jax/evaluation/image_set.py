"""The images that are scored: a split of a run's data, or any folder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colddiff_jax.data import Batch, Images, fingerprint, images_in_folder, stack
from colddiff_jax.errors import InputError

if TYPE_CHECKING:  # Training evaluates, too.
    from colddiff_jax.training.experiment import Experiment


class ImageSet(NamedTuple):
    """Images to score, and what comes with them.

    Attributes:
        source: where they are from: a folder, or "" for the data of the run.
        split: "test" or "train"; "" in a folder.
        images: uint8 [H, W, C] of any sizes.
        labels: their classes, int32 [N], or None.
        endpoints: images that a blend degrades them into, or None; they are taken in
            turn, so there may be fewer.
    """

    source: str
    split: str
    images: Images
    labels: np.ndarray | None
    endpoints: Images | None

    def describe(
        self, experiment: "Experiment", num_images: int, data_set: str
    ) -> dict[str, Any]:
        """What tells the first images of this set, prepared as for a run, from others.

        The keys are those of `metrics.reference.Reference.data`.

        Args:
            experiment: of the run.
            num_images: how many.
            data_set: the name of the run's data.
        """
        preprocessing = experiment.preprocessing
        return {
            "source": self.source or data_set,
            "split": self.split,
            "fingerprint": fingerprint(self.images, labels=self.labels),
            "count": num_images,
            "image_shape": list(experiment.image_shape),
            "preprocessing": {"resize_to": preprocessing.resize_to},
        }


def split_of(experiment: "Experiment", name: str = "test") -> ImageSet:
    """The test images of a run, or its training images."""
    splits, others = experiment.splits, experiment.endpoints
    train = name == "train"
    return ImageSet(
        source="",
        split=name,
        images=splits.train if train else splits.test,
        labels=splits.train_labels if train else splits.test_labels,
        endpoints=others and (others.train if train else others.test),
    )


def check_folder(num_classes: int) -> None:
    """Raises InputError for a network that is told what no folder tells."""
    if num_classes:
        raise InputError(
            "this run's network is told the classes of images, which a folder without "
            "training images does not number; evaluate its test split"
        )


def folder_of(
    experiment: "Experiment", path: str, *, images: Images | None = None
) -> ImageSet:
    """All image files in a folder, for the degradation and the network of a run.

    Args:
        experiment: of the run.
        path: of the folder.
        images: those of the folder, if they were read already.

    Raises:
        InputError: no such folder, no images in it, too many that cannot be read, or a
            run that needs more than images.
    """
    channels = experiment.image_shape[-1]
    check_folder(getattr(experiment.model, "num_classes", 0))
    others = experiment.endpoints
    return ImageSet(
        source=path,
        split="",
        images=images or images_in_folder(path, channels=channels),
        labels=None,
        endpoints=others and others.test,
    )


def load_batch(
    found: ImageSet,
    experiment: "Experiment",
    numbers: Sequence[int] | np.ndarray,
    *,
    cut: bool = True,
) -> Batch:
    """The images with these numbers, with their labels, and endpoints for a blend.

    Args:
        found: the images.
        experiment: says how they become squares.
        numbers: which of them.
        cut: take their centre; else leave it to `Preprocessing.augment`.
    """
    preprocessing = experiment.preprocessing
    prepare = preprocessing.test if cut else preprocessing.resize
    others = found.endpoints
    return Batch(
        stack([prepare(found.images[i]) for i in numbers]),
        None if found.labels is None else found.labels[np.asarray(numbers)],
        None
        if others is None
        else np.stack([preprocessing.test(others[i % len(others)]) for i in numbers]),
    )
