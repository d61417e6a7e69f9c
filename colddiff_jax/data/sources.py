"""Where images come from: each source gives random access to uint8 images [H, W, C]."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from colddiff_jax.data.folder import folder
from colddiff_jax.data.splits import Images, ImageSplits, check_labels, make_splits
from colddiff_jax.errors import InputError


def digits(*, labels: bool = False) -> ImageSplits:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 x 1; bundled, nothing to download.

    Args:
        labels: give the digits' values, 0..9, too.

    Returns:
        1,500 training images, and as test images the last 297, which other people
        wrote.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = np.round(bundled.images / 16 * 255).astype(np.uint8)[..., None]
    splits = ImageSplits(images[:1500], images[1500:])
    if not labels:
        return splits
    values = bundled.target.astype(np.int32)
    return splits._replace(train_labels=values[:1500], test_labels=values[1500:])


def npz(*, path: str, labels: bool = False) -> ImageSplits:
    """A file of NumPy arrays `train_images` and `test_images`.

    Args:
        path: an .npz file with these two uint8 arrays, [N, H, W] or [N, H, W, C].
        labels: read `train_labels` and `test_labels` too, integers [N] or [N, 1].

    Raises:
        InputError: the file is missing, is not an npz, or holds no such arrays.
    """
    if not path:
        raise InputError(
            "data.path is empty; name the file with --config.data.path=FILE.npz"
        )
    if not os.path.isfile(path):
        raise InputError(f"no file {path!r}; data.path must name an .npz file")
    wanted = ["train_images", "test_images"]
    if labels:
        wanted += ["train_labels", "test_labels"]
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            keys = sorted(arrays.files)
            found = {name: arrays[name] for name in wanted if name in keys}
    except Exception as error:  # zipfile, zlib, OS and pickle errors, one cure for all.
        raise InputError(
            f"{path}: not a readable .npz file ({error}); write it again with "
            "numpy.savez"
        ) from error
    for name in wanted:
        if name not in found:
            raise InputError(
                f"{path}: no array {name!r} (it holds {keys}); it needs "
                f"{', '.join(wanted)}"
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
    """Any image set of TensorFlow Datasets, read without TensorFlow.

    Args:
        name: of the data set, such as "mnist" or "cifar10".
        data_dir: where it was prepared; empty for TFDS's own default.
        test_split: name of the split to test on.
        labels: read the feature "label" too.

    Raises:
        InputError: the set is unknown, not prepared as ArrayRecord, or has no images
            or no labels.
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
    )


def _tfds_images(builder: Any, split: str) -> Images:
    where = f"the TFDS set {builder.name!r}"
    if not builder.info.splits[split].num_examples:
        raise InputError(f"{where} has no images in its split {split!r}")
    # What the set says of itself: its images may be of a kind that cannot be decoded.
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
    "digits": digits,
    "folder": folder,
    "npz": npz,
    "tfds": tfds,
}
