"""A folder of image files of any size, all checked before training begins."""

import hashlib
import os
import warnings
from multiprocessing.pool import ThreadPool

import numpy as np
from PIL import Image

from colddiff_jax.checks import InputError
from colddiff_jax.data.decoding import EXTENSIONS, decode, short_reason, why_broken
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

    If there are subfolders `train` and `test` (or `val`, or `validation`), they are the
    splits, and all other files are ignored. Otherwise the split of a file depends only
    on its relative path, so adding files moves no others. Names that begin with a dot
    are ignored.

    Every file is decoded once before training begins; broken files are listed and left
    out.

    Args:
        path: the folder.
        channels: 3 for RGB, 1 for grey. Transparent images are composited over white.
        test_fraction: fraction of the files to test on, if no subfolders make the
            splits.
        max_unreadable: fraction of the files that may be broken.
        labels: use the subfolders (of each split), sorted by name, as classes.

    Returns:
        Images of their own sizes; training images in the order of their relative paths,
        test images shuffled.

    Raises:
        InputError: there is no such folder, a split has no images, too many files are
            broken, or labels are requested but the subfolders do not provide them.

    Example:
        >>> splits = folder(path="photos", labels=True)
        >>> splits.train[0].shape, splits.num_classes
        ((48, 64, 3), 2)
    """
    _check_options(path, channels, test_fraction, max_unreadable)
    root = os.path.abspath(path)
    test_folders = [
        name
        for name in ("test", "val", "validation")
        if os.path.isdir(os.path.join(root, name))
    ]
    separate = bool(test_folders) and os.path.isdir(os.path.join(root, "train"))
    if separate:
        train, test = _find(root, "train/"), _find(root, f"{test_folders[0]}/")
    else:
        names = _find(root, "")
        test = [name for name in names if _position(name) < test_fraction]
        train = [name for name in names if _position(name) >= test_fraction]
    # Shuffle the classes, so that the first test images represent all of them.
    test.sort(key=_position)
    _check_any(path, train + test)
    broken = _broken(root, train + test, channels)
    _report(path, broken, len(train) + len(test), max_unreadable)
    train = [name for name in train if name not in broken]
    test = [name for name in test if name not in broken]
    for split, names in (("train", train), ("test", test)):
        if not names:
            raise InputError(
                f"{path}: no readable image in the split {split!r}; add some, or (if "
                "there are no subfolders train and test) change `data.test_fraction` = "
                f"{test_fraction}"
            )
    splits = ImageSplits(
        _ImageFiles(root, train, channels), _ImageFiles(root, test, channels)
    )
    if not labels:
        return splits
    train_classes, test_classes = (
        [_class_of(path, name, separate) for name in names] for names in (train, test)
    )
    label = _number_classes(path, train_classes, test_classes, separate)
    return splits._replace(
        train_labels=np.array([label[name] for name in train_classes], np.int32),
        test_labels=np.array([label[name] for name in test_classes], np.int32),
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
    _check_options(path, channels, 0.5, max_unreadable)
    root = os.path.abspath(path)
    names = _find(root, "")
    _check_any(path, names)
    broken = _broken(root, names, channels)
    _report(path, broken, len(names), max_unreadable)
    readable = [name for name in names if name not in broken]
    if not readable:
        raise InputError(
            f"{path}: none of the images in this folder can be read; add some that can"
        )
    return _ImageFiles(root, readable, channels)


class _ImageFiles:
    """Image files that are decoded on access."""

    def __init__(self, root: str, names: list[str], channels: int):
        self._root, self._names, self._channels = root, names, channels
        # Pillow warns about odd metadata in images that it reads correctly. Many
        # threads read them throughout training, and a filter affects the whole process.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

    def __reduce__(self) -> tuple:
        return _ImageFiles, (self._root, self._names, self._channels)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        path = os.path.join(self._root, self._names[index])
        try:
            return decode(path, self._channels)
        except Exception as error:
            raise InputError(
                f"{path!r} can no longer be read ({short_reason(error)}); restore it "
                "and resume, or start a new run without it"
            ) from error


def _check_options(
    path: str, channels: int, test_fraction: float, max_unreadable: float
) -> None:
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


def _find(root: str, prefix: str, above: tuple[str, ...] = ()) -> list[str]:
    """Returns the sorted paths, relative to root, of the images below root/prefix."""
    here = os.path.realpath(os.path.join(root, prefix))
    if here in above:  # A link to a folder that contains it.
        return []
    names = []
    try:
        entries = list(os.scandir(here))
    except OSError as error:
        raise InputError(
            f"{here!r} cannot be listed ({short_reason(error)}); make it readable"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry.path):
            names += _find(root, f"{name}/", (*above, here))
        elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
            names.append(name)
    return sorted(names)


def _position(name: str) -> float:
    """Hashes a name to a number in [0, 1), uniform over names."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _broken(root: str, names: list[str], channels: int) -> dict[str, str]:
    """Maps the names of the files that cannot be read to the reasons."""
    from tqdm import tqdm

    def check(name: str) -> str:
        return why_broken(os.path.join(root, name), channels)

    with warnings.catch_warnings(), ThreadPool() as pool:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # disable=None: no progress bar without a terminal.
        reasons = tqdm(
            pool.imap(check, names, chunksize=8),
            desc="checking images",
            total=len(names),
            unit="file",
            disable=None,
        )
        return {name: why for name, why in zip(names, reasons, strict=True) if why}


def _report(
    path: str, broken: dict[str, str], num_files: int, max_unreadable: float
) -> None:
    """Lists the broken files; raises an InputError if there are too many."""
    if not broken:
        return
    lines = [f"{name!r}: {why}" for name, why in broken.items()]
    fraction = len(broken) / num_files
    count = f"{len(broken)} of {num_files} image files ({fraction:.2%}) cannot be read"
    print(f"{path}: {count}:")
    for line in lines[:10]:
        print(f"  {line}")
    if len(lines) > 10:
        print(f"  and {len(lines) - 10} more")
    if fraction > max_unreadable:
        first = "; ".join(lines[:3]) + ("; ..." if len(lines) > 3 else "")
        raise InputError(
            f"{path}: {count}, more than `data.max_unreadable` = {max_unreadable} "
            f"allows ({first}); repair or remove them, or raise `data.max_unreadable`"
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
    """Numbers the classes 0..K-1 in the order of their names."""
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
    return {name: i for i, name in enumerate(sorted(set(train)))}
