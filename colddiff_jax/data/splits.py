"""The result of every source: training and test images, optionally with labels."""

from typing import NamedTuple, Protocol

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.reprs import sides

# The largest number of channels in the first axis that is taken for a mistake.
_MOST_CHANNELS = 4


class Images(Protocol):
    """A sequence of uint8 images [H, W, C] with random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


def name_of(images: Images, index: int) -> str:
    """Returns the path of an image, or its number if it is not a file.

    Example:
        >>> name_of(np.zeros((6, 8, 8, 1), np.uint8), 4)
        'image 4'
    """
    path_of = getattr(images, "path_of", None)
    return path_of(index) if path_of else f"image {index}"


class ImageSplits(NamedTuple):
    """The training and test split of a data set.

    Attributes:
        train: the training images.
        test: the held-out images, never used in training.
        train_labels: the class of each training image, int32 [N] in 0..K-1, or None.
        test_labels: the class of each test image, int32 [N] in 0..K-1, or None.
        class_names: the names of the classes, in the order of their numbers; empty if
            they have none.

    Example:
        >>> x = np.zeros((6, 8, 8, 1), np.uint8)
        >>> ImageSplits(train=x[:4], test=x[4:]).num_classes   # no labels
        0
    """

    train: Images
    test: Images
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # Files are not opened for the sake of their size.
        shape = getattr(self.train, "shape", (0,))[1:]
        parts = [f"{len(self.train)} training and {len(self.test)} test images"]
        parts += [sides(shape)] * bool(shape)
        parts += [f"{self.num_classes} classes"] * bool(self.num_classes)
        return f"ImageSplits({', '.join(parts)})"

    @property
    def num_classes(self) -> int:
        """The number of classes K, i.e. the largest label + 1; 0 without labels."""
        if self.train_labels is None or self.test_labels is None:
            return 0
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def arrays(
    train_images: np.ndarray,
    test_images: np.ndarray,
    *,
    train_labels: np.ndarray | None = None,
    test_labels: np.ndarray | None = None,
) -> ImageSplits:
    """Makes splits from images that are already in memory, as in a notebook.

    Args:
        train_images: uint8 [N, H, W] or [N, H, W, C].
        test_images: uint8, with the same number of channels; N, H and W may differ.
        train_labels: the class of each training image, integers [N] or [N, 1], 0..K-1.
        test_labels: the class of each test image; give both or neither.

    Returns:
        The images as [N, H, W, C] and the labels as int32 [N].

    Raises:
        InputError: an array is empty or has another dtype or shape; labels are negative
            or not one per image.

    Example:
        >>> x = np.zeros((6, 32, 32), np.uint8)
        >>> arrays(x[:4], x[4:]).train.shape
        (4, 32, 32, 1)
    """
    return make_splits("arrays", train_images, test_images, train_labels, test_labels)


def make_splits(
    where: str,
    train_images: np.ndarray,
    test_images: np.ndarray,
    train_labels: np.ndarray | None,
    test_labels: np.ndarray | None,
) -> ImageSplits:
    """Checks arrays and makes splits of them; error messages begin with `where`."""
    train = _check_images(where, "train_images", train_images)
    test = _check_images(where, "test_images", test_images)
    if train.shape[-1] != test.shape[-1]:
        raise InputError(
            f"{where}: train_images have {train.shape[-1]} channels and test_images "
            f"{test.shape[-1]}; both must have the same number"
        )
    return _with_labels(where, ImageSplits(train, test), train_labels, test_labels)


def _with_labels(
    where: str,
    splits: ImageSplits,
    train_labels: np.ndarray | None,
    test_labels: np.ndarray | None,
) -> ImageSplits:
    """Adds labels to splits, if there are any; raises an InputError if invalid."""
    if train_labels is None and test_labels is None:
        return splits
    if train_labels is None or test_labels is None:
        missing = "train_labels" if train_labels is None else "test_labels"
        raise InputError(f"{where}: {missing} are missing; both splits need labels")
    return splits._replace(
        train_labels=check_labels(
            where, "train_labels", train_labels, len(splits.train)
        ),
        test_labels=check_labels(where, "test_labels", test_labels, len(splits.test)),
    )


def check_splits(splits: ImageSplits, *, where: str = "splits") -> ImageSplits:
    """Checks the splits that a source returns: first and last images, and all labels.

    Args:
        splits: the images of a source, possibly one from outside this library.
        where: the name of the splits in error messages.

    Returns:
        The same images, with labels as int32 [N].

    Raises:
        InputError: these are not ImageSplits, a split is empty, images are not uint8
            [H, W, C], the splits differ in channels, or labels are negative or not one
            integer per image.

    Example:
        >>> x = np.zeros((6, 3, 32, 32), np.uint8)
        >>> check_splits(ImageSplits(x[:4], x[4:]))
        Traceback (most recent call last):
            ...
        colddiff_jax.checks.InputError: splits: train images must have their channels...
    """
    if not isinstance(splits, ImageSplits):
        raise InputError(
            f"{where}: expected ImageSplits, got {type(splits).__name__}; make them "
            "with colddiff_jax.data.arrays"
        )
    channels = {}
    for split, images in (("train", splits.train), ("test", splits.test)):
        if not (hasattr(images, "__len__") and hasattr(images, "__getitem__")):
            raise InputError(
                f"{where}: {split} must be a sequence of images, got "
                f"{type(images).__name__}; it needs a length and access by index"
            )
        if not len(images):
            kind = {"train": "training", "test": "test"}[split]
            raise InputError(f"there are no {kind} images; `data.source` found none")
        for index in (0, len(images) - 1):
            name = f"{where}: {split} images"
            channels[split, index] = _check_image(name, np.asarray(images[index]))
    if len(set(channels.values())) > 1:
        raise InputError(
            f"{where}: images have {min(channels.values())} and "
            f"{max(channels.values())} channels; all must have the same number"
        )
    return _with_labels(
        where,
        splits._replace(train_labels=None, test_labels=None),
        splits.train_labels,
        splits.test_labels,
    )


def _check_image(name: str, image: np.ndarray) -> int:
    """Returns the number of channels of an image; raises an InputError if invalid."""
    if image.dtype != np.uint8:
        raise InputError(
            f"{name} must be uint8 in 0..255, got {image.dtype}; scale and convert "
            "them, as colddiff_jax.to_uint8 does for floats in -1..1"
        )
    shape = image.shape
    if image.ndim != 3 or not image.size:
        raise InputError(
            f"{name} must have shape [H, W, C], got {shape}; "
            "colddiff_jax.data.arrays adds an axis to grey images"
        )
    _check_channels_last(name, shape)
    return shape[-1]


def _check_channels_last(name: str, shape: tuple[int, ...]) -> None:
    """Raises an InputError if the shape of an image looks like [C, H, W]."""
    if shape[0] <= _MOST_CHANNELS < min(shape[1:]):
        raise InputError(
            f"{name} must have their channels last, [H, W, C], got shape {shape}; "
            "move them there with numpy.moveaxis(images, -3, -1)"
        )


def check_labels(
    where: str, name: str, labels: np.ndarray, num_images: int
) -> np.ndarray:
    """Returns labels as int32 [N]; raises an InputError if they are invalid."""
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{where}: {name} must be integers in 0..K-1, got {labels.dtype}"
        )
    if labels.shape not in ((num_images,), (num_images, 1)):
        raise InputError(
            f"{where}: {name} must have shape ({num_images},), one per image, got "
            f"{labels.shape}"
        )
    for label in (int(labels.min()), int(labels.max())):
        if not 0 <= label < np.iinfo(np.int32).max:
            raise InputError(f"{where}: {name} must lie in 0..K-1, got {label}")
    return labels.reshape(num_images).astype(np.int32)


def _check_images(where: str, name: str, images: np.ndarray) -> np.ndarray:
    """Returns images as [N, H, W, C]; raises an InputError if they are invalid."""
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise InputError(
            f"{where}: {name} must all have the same size to be one array; crop or "
            "resize them first"
        ) from error
    if images.dtype != np.uint8:
        raise InputError(f"{where}: {name} must be uint8 in 0..255, got {images.dtype}")
    if images.ndim not in (3, 4):
        raise InputError(
            f"{where}: {name} must have shape [N, H, W] or [N, H, W, C], got "
            f"{images.shape}"
        )
    if not images.size:
        raise InputError(f"{where}: {name} is empty, shape {images.shape}")
    if images.ndim == 3:
        return images[..., None]
    _check_channels_last(f"{where}: {name}", images.shape[1:])
    return images
