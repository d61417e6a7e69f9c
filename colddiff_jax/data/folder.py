"""A folder of image files of any size, all checked before training begins."""

import os

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data.decoding import EXTENSIONS
from colddiff_jax.data.folder_report import report_skipped, report_splits
from colddiff_jax.data.folder_splits import find_images, find_splits
from colddiff_jax.data.image_files import ImageFiles, readable_files
from colddiff_jax.data.splits import Images, ImageSplits


def folder(
    *,
    path: str,
    channels: int = 3,
    test_fraction: float = 0.1,
    max_unreadable: float = 0.01,
    labels: bool = False,
) -> ImageSplits:
    """Splits the image files in a folder and its subfolders.

    Subfolders `train` (or `training`) and `test` (or `testing`, `val`, `valid`,
    `validation`, `dev`, `eval`, `evaluation`), in any case, are the splits, and all
    other files are ignored. Without them the split of a file depends only on its
    relative path, so adding files moves no others, except that of two files or more
    each split has at least one. Names that begin with a dot are ignored. Links are
    followed, and every file is used once, even if several links lead to it: as a test
    image if they put it into both splits.

    The sizes of the splits, the classes, and the number of files skipped because their
    extension is not that of an image are printed.

    Every file is decoded once before training begins; broken files are listed and left
    out.

    Args:
        path: the folder.
        channels: 3 for RGB, 1 for grey. Transparent images are composited over white.
        test_fraction: fraction of the files to test on, if no subfolders make the
            splits.
        max_unreadable: fraction of the files that may be broken.
        labels: use the subfolders (of each split) as classes, sorted by name, or by
            value if all names are integers.

    Returns:
        Images of their own sizes; training images in the order of their relative paths,
        test images shuffled.

    Raises:
        InputError: there is no such folder, a split has no images, subfolders look like
            splits but it is not clear which ones are, too many files are broken, or
            labels are requested but the subfolders do not provide them.

    Example:
        >>> splits = folder(path="photos", labels=True)
        photos: 22 training images and 2 test images, ...
        >>> splits.train[0].shape, splits.num_classes
        ((48, 64, 3), 2)
    """
    path = os.path.expanduser(path)
    check_options(path, channels, test_fraction, max_unreadable)
    root = os.path.abspath(path)
    found = find_splits(path, root, test_fraction)
    train, test, separate = found.train, found.test, found.folders is not None
    report_skipped(path, found.skipped)
    _check_any(path, train + test)
    sizes = readable_files(path, root, train + test, channels, max_unreadable)
    train = [name for name in train if name in sizes]
    test = [name for name in test if name in sizes]
    for split, names in (("train", train), ("test", test)):
        if not names:
            raise InputError(
                f"{path}: no readable image in the split {split!r}; add some: at least "
                "two images are needed, one to train and one to test on"
            )

    def files(names: list[str]) -> ImageFiles:
        return ImageFiles(root, names, channels, [sizes[name] for name in names])

    splits = ImageSplits(files(train), files(test))
    if not labels:
        report_splits(path, found, splits)
        return splits
    train_classes, test_classes = (
        [_class_of(path, name, separate) for name in names] for names in (train, test)
    )
    label = _number_classes(path, train_classes, test_classes, separate)
    report_splits(path, found, splits, list(label))
    return splits._replace(
        train_labels=np.array([label[name] for name in train_classes], np.int32),
        test_labels=np.array([label[name] for name in test_classes], np.int32),
        class_names=tuple(label),
    )


def images_in_folder(
    path: str, *, channels: int = 3, max_unreadable: float = 0.01
) -> Images:
    """Returns all image files in a folder and its subfolders as one set.

    Args:
        path: the folder.
        channels: as for `folder`.
        max_unreadable: as for `folder`.

    Returns:
        Images of their own sizes, in the order of their relative paths.

    Raises:
        InputError: there is no such folder, it has no readable image, or too many
            files are broken.

    Example:
        >>> len(images_in_folder("photos"))
        24
    """
    path = os.path.expanduser(path)
    check_options(path, channels, max_unreadable=max_unreadable)
    root = os.path.abspath(path)
    (names,), skipped = find_images(root, [""])
    report_skipped(path, skipped)
    _check_any(path, names)
    sizes = readable_files(path, root, names, channels, max_unreadable)
    if not sizes:
        raise InputError(
            f"{path}: none of the images in this folder can be read; add some that can"
        )
    return ImageFiles(root, [*sizes], channels, [*sizes.values()])


def check_options(
    path: str, channels: int, test_fraction: float = 0.5, max_unreadable: float = 0.0
) -> None:
    """Raises InputError for arguments of `folder` that are out of range."""
    if not path:
        raise InputError("`data.path` is empty; it must name a folder of images")
    if os.path.isfile(path):
        raise InputError(
            f"{path!r} is a file; `data.path` must name a folder of images, unless "
            "`data.source` is 'npz'"
        )
    if not os.path.isdir(path):
        raise InputError(
            f"no folder {path!r}; `data.path` must name a folder of images"
        )
    if channels not in (1, 3):
        raise InputError(
            f"`data.channels` must be 3 (RGB) or 1 (grey), got {channels!r}"
        )
    if not isinstance(test_fraction, float) or not 0 < test_fraction < 1:
        raise InputError(
            "`data.test_fraction` must lie strictly between 0 and 1, such as 0.1, got "
            f"{test_fraction!r}"
        )
    if not isinstance(max_unreadable, float | int) or not 0 <= max_unreadable <= 1:
        raise InputError(
            f"`data.max_unreadable` must be a fraction in 0..1, got {max_unreadable!r}"
        )


def _check_any(path: str, names: list[str]) -> None:
    if not names:
        raise InputError(
            f"{path}: no images in this folder; their names must end in one of "
            f"{' '.join(sorted(EXTENSIONS))}"
        )


def _class_of(path: str, name: str, separate: bool) -> str:
    """Returns the subfolder that holds a file: of its split, if these are separate."""
    parts = name.split("/")[separate:]
    if len(parts) < 2:
        raise InputError(
            f"{path}: {name!r} has no class; with labels, every image must be in a "
            "subfolder named after its class"
        )
    return parts[0]


def _number_classes(
    path: str, train: list[str], test: list[str], separate: bool
) -> dict[str, int]:
    """Numbers the classes 0..K-1 by name, or by value if all are integers."""
    untrained = set(test) - set(train)
    # A random test split may miss a small class; subfolders are made by hand.
    untested = set(train) - set(test) if separate else set()
    for missing, split in ((untrained, "train"), (untested, "test")):
        if missing:
            raise InputError(
                f"{path}: no image of class {min(missing)!r} in the split {split!r}; "
                "both splits must have the same classes"
            )
    if len(set(train)) < 2:
        raise InputError(
            f"{path}: labels need at least two classes, each a subfolder, but there is "
            f"only {train[0]!r}"
        )
    classes = sorted(set(train))
    if all(name.isascii() and name.isdecimal() for name in classes):
        classes.sort(key=int)
    return {name: i for i, name in enumerate(classes)}
