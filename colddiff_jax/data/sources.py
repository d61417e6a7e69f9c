"""Where images come from: each source gives random access to uint8 images [H, W, C]."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from colddiff_jax.errors import InputError


class Images(Protocol):
    """A sequence of uint8 images [H, W, C] with random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class ImageSplits(NamedTuple):
    """The two halves of a data set.

    Attributes:
        train: images to learn from.
        test: images that training never sees.
    """

    train: Images
    test: Images


def digits() -> ImageSplits:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 x 1; bundled, nothing to download.

    Returns:
        1,500 training images, and as test images the last 297, which other people
        wrote.
    """
    from sklearn.datasets import load_digits

    sixteenths = load_digits().images
    images = np.round(sixteenths / 16 * 255).astype(np.uint8)[..., None]
    return ImageSplits(train=images[:1500], test=images[1500:])


def npz(*, path: str) -> ImageSplits:
    """A file of NumPy arrays `train_images` and `test_images`.

    Args:
        path: an .npz file with these two uint8 arrays, [N, H, W] or [N, H, W, C].

    Raises:
        InputError: the file is missing, is not an npz, or holds no such arrays.
    """
    if not path:
        raise InputError(
            "data.path is empty; name the file with --config.data.path=FILE.npz"
        )
    if not os.path.isfile(path):
        raise InputError(f"no file {path!r}; data.path must name an .npz file")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            keys = sorted(arrays.files)
            missing = {"train_images", "test_images"} - set(keys)
            if missing:
                raise InputError(
                    f"{path}: no array {sorted(missing)[0]!r} (it holds {keys}); an "
                    "image file needs uint8 arrays train_images and test_images"
                )
            train, test = (
                _check_array(path, key, arrays[key])
                for key in ("train_images", "test_images")
            )
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, OS and pickle errors, one cure for all.
        raise InputError(
            f"{path}: not a readable .npz file ({error}); write it again with "
            "numpy.savez"
        ) from error
    if train.shape[-1] != test.shape[-1]:
        raise InputError(
            f"{path}: train_images have {train.shape[-1]} channels and test_images "
            f"{test.shape[-1]}; both need the same number"
        )
    return ImageSplits(train=train, test=test)


def tfds(*, name: str, data_dir: str = "", test_split: str = "test") -> ImageSplits:
    """Any image set of TensorFlow Datasets, read without TensorFlow.

    Args:
        name: of the data set, such as "mnist" or "cifar10".
        data_dir: where it was prepared; empty for TFDS's own default.
        test_split: name of the split to test on.

    Raises:
        InputError: the set is unknown, not prepared as ArrayRecord, or has no images.
    """
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder(name, data_dir=data_dir or None)
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        raise InputError(
            f"TensorFlow Datasets has no set {name!r}; its catalogue at "
            "www.tensorflow.org/datasets lists the names"
        ) from error
    if not builder.is_prepared() or builder.info.file_format.value != "array_record":
        option = f" --data_dir={data_dir}" if data_dir else ""
        raise InputError(
            f"the TFDS set {name!r} is not prepared in {builder.data_dir}. Prepare it "
            "once (this downloads it): pip install 'colddiff-jax[tfds-prepare]' && "
            f"python -m colddiff_jax.data.prepare {name}{option} -- or, without a "
            "network, add --manual_dir=FOLDER with its original files, or train from "
            "an npz file: --config.data.source=npz --config.data.path=FILE.npz"
        )
    for split in ("train", test_split):
        if split not in builder.info.splits:
            raise InputError(
                f"the TFDS set {name!r} has no split {split!r}; it has "
                f"{sorted(builder.info.splits)}"
            )
    if "image" not in builder.info.features:
        raise InputError(
            f"the TFDS set {name!r} has no feature 'image'; it has "
            f"{sorted(builder.info.features)}"
        )
    return ImageSplits(
        train=_TfdsImages(builder.as_data_source("train")),
        test=_TfdsImages(builder.as_data_source(test_split)),
    )


class _TfdsImages:
    """The images of a TFDS data source, without their labels."""

    def __init__(self, source: Any):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self._source[index]["image"]


def _check_array(path: str, key: str, images: np.ndarray) -> np.ndarray:
    """Returns images as [N, H, W, C], or says what is wrong with them."""
    if images.dtype != np.uint8:
        raise InputError(f"{path}: {key} must be uint8 in 0..255, got {images.dtype}")
    if images.ndim not in (3, 4):
        raise InputError(
            f"{path}: {key} must have shape [N, H, W] or [N, H, W, C], got "
            f"{images.shape}"
        )
    if not images.size:
        raise InputError(f"{path}: {key} is empty, shape {images.shape}")
    return images[..., None] if images.ndim == 3 else images


SOURCES: dict[str, Callable[..., ImageSplits]] = {
    "digits": digits,
    "npz": npz,
    "tfds": tfds,
}
