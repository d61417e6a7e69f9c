"""Data sources; each gives random access to uint8 images [H, W, C]."""

import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data.folder import folder
from colddiff_jax.data.splits import Images, ImageSplits, check_labels, make_splits
from colddiff_jax.io.npz import open_npz


def digits(*, labels: bool = False) -> ImageSplits:
    """Loads scikit-learn's 1,797 handwritten digits, 8 x 8 x 1, without a download.

    Args:
        labels: include the digits' values, 0..9.

    Returns:
        1,500 training images and the last 297, by other writers, as test images.

    Example:
        >>> splits = digits(labels=True)
        >>> splits.train.shape, splits.num_classes
        ((1500, 8, 8, 1), 10)
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = np.round(bundled.images / 16 * 255).astype(np.uint8)[..., None]
    splits = ImageSplits(images[:1500], images[1500:])
    if not labels:
        return splits
    values = bundled.target.astype(np.int32)
    return splits._replace(train_labels=values[:1500], test_labels=values[1500:])


def coarse_digits(*, labels: bool = False) -> ImageSplits:
    """Loads the digits of `digits`, pixelated to 4 x 4: the degraded halves of pairs.

    Args:
        labels: as for `digits`.

    Returns:
        As from `digits`; each block of 2 x 2 pixels has the value of its mean.

    Example:
        >>> coarse_digits().train.shape
        (1500, 8, 8, 1)
    """

    def pixelate(images: np.ndarray) -> np.ndarray:
        blocks = images.reshape(-1, 4, 2, 4, 2, 1).mean((2, 4))
        return np.round(blocks).astype(np.uint8).repeat(2, 1).repeat(2, 2)

    splits = digits(labels=labels)
    train, test = (
        pixelate(np.asarray(images)) for images in (splits.train, splits.test)
    )
    return splits._replace(train=train, test=test)


def npz(*, path: str, labels: bool = False) -> ImageSplits:
    """Loads the arrays `train_images` and `test_images` of an .npz file.

    Args:
        path: an .npz file with these two uint8 arrays, [N, H, W] or [N, H, W, C]; ~
            at its beginning is the home of the user.
        labels: also load `train_labels` and `test_labels`, integers [N] or [N, 1].

    Raises:
        InputError: the file is missing, is not an .npz file, or lacks these arrays.

    Example:
        >>> x = np.zeros((6, 28, 28), np.uint8)
        >>> np.savez("images.npz", train_images=x[:4], test_images=x[4:])
        >>> npz(path="images.npz").train.shape
        (4, 28, 28, 1)
    """
    if not path:
        raise InputError("`data.path` is empty; it must name an .npz file")
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise InputError(f"no file {path!r}; `data.path` must name an .npz file")
    required = ["train_images", "test_images"]
    if labels:
        required += ["train_labels", "test_labels"]
    try:
        with open(path, "rb") as file, open_npz(file) as arrays:
            keys = sorted(arrays.files)
            found = {name: arrays[name] for name in required if name in keys}
    except Exception as error:  # Any zipfile, zlib, pickle or OS error.
        raise InputError(
            f"{path}: not a readable .npz file ({error}); write it again with "
            "numpy.savez"
        ) from error
    for name in required:
        if name not in found:
            raise InputError(
                f"{path}: no array {name!r} (it holds {keys}); it must hold "
                f"{', '.join(required)}"
            )
    return make_splits(
        path,
        found["train_images"],
        found["test_images"],
        found.get("train_labels"),
        found.get("test_labels"),
    )


def tfds(
    *, name: str, data_dir: str = "", test_split: str = "test", labels: bool = False
) -> ImageSplits:
    """Opens an image set of TensorFlow Datasets (TFDS), without TensorFlow.

    Args:
        name: name of the data set, such as "mnist" or "cifar10".
        data_dir: folder it was prepared in; empty for the default of TFDS. A ~ at its
            beginning is the home of the user.
        test_split: name of the split to test on.
        labels: also read the feature "label".

    Raises:
        InputError: the set is unknown, is not prepared as ArrayRecord, or has no images
            or no labels.

    Example:
        >>> splits = tfds(name="mnist")  # doctest: +SKIP
    """
    data_dir = os.path.expanduser(data_dir)
    builder = tfds_builder(name, data_dir=data_dir or None)
    if not builder.is_prepared() or builder.info.file_format.value != "array_record":
        option = f" --data_dir={data_dir}" if data_dir else ""
        raise InputError(
            f"the TFDS set {name!r} is not prepared in {builder.data_dir}. Prepare it "
            "once (this downloads it): pip install 'colddiff-jax[tfds-prepare]' && "
            f"python -m colddiff_jax.cli.prepare {name}{option} -- or, offline, add "
            "--manual_dir=FOLDER with its original files, or use an .npz file: set "
            "`data.source` to 'npz' and `data.path` to the file"
        )
    for split in ("train", test_split):
        if split not in builder.info.splits:
            raise InputError(
                f"the TFDS set {name!r} has no split {split!r}; it has "
                f"{sorted(builder.info.splits)}"
            )
    for feature in ("image", "label") if labels else ("image",):
        if feature not in builder.info.features:
            raise InputError(
                f"the TFDS set {name!r} has no feature {feature!r}; it has "
                f"{sorted(builder.info.features)}"
            )
    splits = ImageSplits(
        train=_tfds_images(builder, "train"), test=_tfds_images(builder, test_split)
    )
    if not labels:
        return splits
    return splits._replace(
        train_labels=_tfds_labels(builder, "train"),
        test_labels=_tfds_labels(builder, test_split),
        class_names=tuple(getattr(builder.info.features["label"], "names", ())),
    )


def tfds_builder(name: str, **options: Any) -> Any:
    """Returns the TFDS builder of an image set.

    Args:
        name: NAME, NAME/CONFIG or NAME:VERSION.
        **options: for `tensorflow_datasets.builder`.

    Raises:
        InputError: the name is empty or unknown, or the set needs other packages.
    """
    if not name:
        raise InputError("`data.name` is empty; it must name a TFDS set, such as mnist")
    import tensorflow_datasets

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Banners about TensorFlow.
            return tensorflow_datasets.builder(name, **options)
    except ImportError as error:
        raise InputError(
            f"the TFDS set {name!r} cannot even be read without another package "
            f"({_reason(error)}); install it, or set `data.source` to folder or npz"
        ) from error
    except tensorflow_datasets.core.registered.DatasetNotFoundError as error:
        raise InputError(
            f"TensorFlow Datasets has no data set {name!r}; see the catalogue at "
            "www.tensorflow.org/datasets"
        ) from error
    except (AssertionError, ValueError) as error:  # A version, a configuration.
        raise InputError(
            f"TensorFlow Datasets cannot open {name!r} ({_reason(error)}); `data.name` "
            "must be NAME, NAME/CONFIG or NAME:VERSION, such as mnist or mnist:3.0.1"
        ) from error


def _reason(error: Exception) -> str:
    """Returns the first sentence of a message of TFDS, without what it tried to do."""
    line = str(error).partition("\n")[0].rpartition('}": ')[2]
    return line.partition(". Here are")[0].rstrip(".")


def _tfds_images(builder: Any, split: str) -> Images:
    where = f"the TFDS set {builder.name!r}"
    if not builder.info.splits[split].num_examples:
        raise InputError(f"{where} has no images in its split {split!r}")
    # Check the declared dtype and shape first: the images may not be decodable.
    feature = builder.info.features["image"]
    if feature.np_dtype != np.uint8 or len(feature.shape) != 3:
        raise InputError(
            f"{where} must have uint8 images [H, W, C], got "
            f"{np.dtype(feature.np_dtype)} of shape {feature.shape}"
        )
    return _TfdsImages(builder.as_data_source(split))


def _tfds_labels(builder: Any, split: str) -> np.ndarray:
    from tensorflow_datasets import decode

    source = builder.as_data_source(split, decoders={"image": decode.SkipDecoding()})
    labels = np.array([source[i]["label"] for i in range(len(source))])
    where = f"the TFDS set {builder.name!r}"
    return check_labels(where, f"labels of {split!r}", labels, len(source))


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


SOURCES: dict[str, Callable[..., ImageSplits]] = {
    "coarse_digits": coarse_digits,
    "digits": digits,
    "folder": folder,
    "npz": npz,
    "tfds": tfds,
}
"""The sources of images by the names that configurations use."""
