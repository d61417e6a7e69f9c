"""A folder of image files of any size, checked whole before training begins."""

import hashlib
import os
import warnings
from multiprocessing.pool import ThreadPool

import numpy as np
from PIL import Image

from colddiff_jax.data.decoding import ENDINGS, decode, in_few_words, why_broken
from colddiff_jax.data.splits import Images, ImageSplits
from colddiff_jax.errors import InputError


def folder(
    *,
    path: str,
    channels: int = 3,
    test_share: float = 0.1,
    max_unreadable: float = 0.01,
    labels: bool = False,
) -> ImageSplits:
    """Image files in a folder and its sub-folders.

    If there are folders `train` and `test` (or `val`, or `validation`), these are the
    splits, and what lies beside them is not read. Otherwise the relative path of a file
    alone decides its split, so that new files move none. Names that begin with a dot
    are ignored.

    Every file is decoded once before training begins. Those that cannot be are printed
    and left out.

    Args:
        path: of the folder.
        channels: 3 for RGB, 1 for grey. Transparent images are put over white.
        test_share: of the files, where no folders make the splits.
        max_unreadable: the share of the files that may be broken.
        labels: number the sub-folders (of each split), sorted by name, as classes.

    Returns:
        Images of their own sizes, in the order of their relative paths.

    Raises:
        InputError: there is no such folder, a split has no image, too many files are
            broken, or labels are wanted that the sub-folders do not give.

    Example:
        >>> splits = folder(path="flowers", labels=True)
        >>> splits.train[0].shape, splits.num_classes
        ((480, 640, 3), 5)
    """
    _check_options(path, channels, test_share, max_unreadable)
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
        test = [name for name in names if _position(name) < test_share]
        train = [name for name in names if _position(name) >= test_share]
    # Not by class: the first so many test images stand for all.
    test.sort(key=_position)
    _check_any(path, train + test)
    broken = _broken(root, train + test, channels)
    _report(path, broken, len(train) + len(test), max_unreadable)
    train = [name for name in train if name not in broken]
    test = [name for name in test if name not in broken]
    for split, names in (("train", train), ("test", test)):
        if not names:
            raise InputError(
                f"{path}: no image that can be read for the split {split!r}; add some, "
                f"or set data.test_share (it is {test_share}) where no folders train "
                "and test make the splits"
            )
    splits = ImageSplits(
        _ImageFiles(root, train, channels), _ImageFiles(root, test, channels)
    )
    if not labels:
        return splits
    train_classes, test_classes = (
        [_class_of(path, name, separate) for name in names] for names in (train, test)
    )
    number = _number_classes(path, train_classes, test_classes, separate)
    return splits._replace(
        train_labels=np.array([number[name] for name in train_classes], np.int32),
        test_labels=np.array([number[name] for name in test_classes], np.int32),
    )


def images_in_folder(
    path: str, *, channels: int = 3, max_unreadable: float = 0.01
) -> Images:
    """All image files in a folder and its sub-folders, as one set.

    Args:
        path: of the folder.
        channels: as for `folder`.
        max_unreadable: as for `folder`.

    Returns:
        Images of their own sizes, in the order of their relative paths.

    Raises:
        InputError: there is no such folder, no image in it that can be read, or too
            many files are broken.

    Example:
        >>> len(images_in_folder("photos"))
        12
    """
    _check_options(path, channels, 0.5, max_unreadable)
    root = os.path.abspath(path)
    names = _find(root, "")
    _check_any(path, names)
    broken = _broken(root, names, channels)
    _report(path, broken, len(names), max_unreadable)
    readable = [name for name in names if name not in broken]
    if not readable:
        raise InputError(f"{path}: no image in this folder can be read")
    return _ImageFiles(root, readable, channels)


class _ImageFiles:
    """Image files that are decoded when they are asked for."""

    def __init__(self, root: str, names: list[str], channels: int):
        self._root, self._names, self._channels = root, names, channels
        # Pillow warns of odd metadata in images that it reads well. Many threads read
        # them for as long as training lasts, and a filter belongs to the whole process.
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
                f"{path!r} cannot be read any more ({in_few_words(error)}); it could "
                "be at first. Restore it and resume, or start a new run without it"
            ) from error


def _check_options(
    path: str, channels: int, test_share: float, max_unreadable: float
) -> None:
    if not path:
        raise InputError(
            "data.path is empty; name the folder with --config.data.path=FOLDER"
        )
    if os.path.isfile(path):
        raise InputError(
            f"{path!r} is a file; data.path must name a folder of images, or else "
            "data.source be 'npz'"
        )
    if not os.path.isdir(path):
        raise InputError(f"no folder {path!r}; data.path must name a folder of images")
    if channels not in (1, 3):
        raise InputError(f"data.channels must be 3 or 1 (grey), got {channels!r}")
    if not isinstance(test_share, float) or not 0 < test_share < 1:
        raise InputError(
            f"data.test_share must lie between 0 and 1, such as 0.1, got {test_share!r}"
        )
    if not isinstance(max_unreadable, float | int) or not 0 <= max_unreadable <= 1:
        raise InputError(
            f"data.max_unreadable must be a share in 0..1, got {max_unreadable!r}"
        )


def _check_any(path: str, names: list[str]) -> None:
    if not names:
        raise InputError(
            f"{path}: no images in this folder; they are found by their endings "
            f"{' '.join(sorted(ENDINGS))}"
        )


def _find(root: str, prefix: str, above: tuple[str, ...] = ()) -> list[str]:
    """Sorted paths, relative to root, of the images below root/prefix."""
    here = os.path.realpath(os.path.join(root, prefix))
    if here in above:  # A link to a folder that contains it.
        return []
    names = []
    try:
        entries = list(os.scandir(here))
    except OSError as error:
        raise InputError(
            f"{here!r} cannot be listed ({in_few_words(error)}); make it readable"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry.path):
            names += _find(root, f"{name}/", (*above, here))
        elif os.path.splitext(entry.name)[1].lower() in ENDINGS:
            names.append(name)
    return sorted(names)


def _position(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, uniform over names."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _broken(root: str, names: list[str], channels: int) -> dict[str, str]:
    """The names of the files that cannot be read, and why."""
    from tqdm import tqdm

    def check(name: str) -> str:
        return why_broken(os.path.join(root, name), channels)

    with warnings.catch_warnings(), ThreadPool() as pool:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Without a terminal to draw on, tqdm's None means no bar.
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
    """Prints which files are broken; too many are an error."""
    if not broken:
        return
    lines = [f"{name!r}: {why}" for name, why in broken.items()]
    share = len(broken) / num_files
    count = f"{len(broken)} of {num_files} image files ({share:.2%}) cannot be read"
    print(f"{path}: {count}:")
    for line in lines[:10]:
        print(f"  {line}")
    if len(lines) > 10:
        print(f"  and {len(lines) - 10} more")
    if share > max_unreadable:
        first = "; ".join(lines[:3]) + ("; ..." if len(lines) > 3 else "")
        raise InputError(
            f"{path}: {count}, more than data.max_unreadable = {max_unreadable} "
            f"allows ({first}); repair or remove them, or raise data.max_unreadable"
        )


def _class_of(path: str, name: str, separate: bool) -> str:
    """The sub-folder, of the split if these are separate, that holds a file."""
    parts = name.split("/")[separate:]
    if len(parts) < 2:
        raise InputError(
            f"{path}: {name!r} has no class; labels need every image in a sub-folder "
            "named after its class"
        )
    return parts[0]


def _number_classes(
    path: str, train: list[str], test: list[str], separate: bool
) -> dict[str, int]:
    """Numbers the classes 0..K-1 in the order of their names."""
    untrained = set(test) - set(train)
    # Chance may leave a small class out of the test split; folders are made by hand.
    untested = set(train) - set(test) if separate else set()
    for missing, split in ((untrained, "train"), (untested, "test")):
        if missing:
            raise InputError(
                f"{path}: no image of class {min(missing)!r} for the split {split!r}; "
                "both need the same classes"
            )
    if len(set(train)) < 2:
        raise InputError(
            f"{path}: labels need two classes or more, each a sub-folder, but there is "
            f"only {train[0]!r}"
        )
    return {name: i for i, name in enumerate(sorted(set(train)))}
