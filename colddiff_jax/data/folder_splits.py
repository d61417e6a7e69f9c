"""Finds the image files of a folder and assigns them to the splits."""

import collections
import hashlib
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from colddiff_jax.checks import InputError
from colddiff_jax.data.decoding import EXTENSIONS, short_reason

# The names of split folders, in any case; earlier test names take precedence.
_TRAIN = ("train", "training")
_TEST = (
    *("test", "testing", "val", "valid", "validation"),
    *("dev", "eval", "evaluation"),
)


class SplitFiles(NamedTuple):
    """The image files of each split, as paths relative to the folder.

    Attributes:
        train: the training images, sorted.
        test: the test images, shuffled.
        folders: the names of the folders of the splits, training first, or None if the
            files were assigned by a hash.
        ignored: the names of all other folders next to these, sorted.
        loose: number of files next to these folders, which are ignored too.
        skipped: number of files skipped, by extension.
    """

    train: list[str]
    test: list[str]
    folders: tuple[str, str] | None
    ignored: list[str]
    loose: int
    skipped: dict[str, int]


def find_splits(path: str, root: str, test_fraction: float) -> SplitFiles:
    """Finds the images of both splits, in split folders or else assigned by a hash.

    Args:
        path: the folder as given by the user, for error messages.
        root: its absolute path.
        test_fraction: fraction of the files to test on, without split folders.

    Raises:
        InputError: subfolders look like splits, but it is not clear which ones are.
    """
    entries = _entries(root)
    visible = [entry.name for entry in entries if entry.is_dir()]
    folders = _split_folders(path, root, visible)
    if folders is None:
        (names,), skipped = find_images(root, [""])
        _check_no_splits_below(path, names)
        names.sort(key=_position)
        num_test = sum(_position(name) < test_fraction for name in names)
        # Of few files, the hash may assign none to a split: each has at least one.
        num_test = max(min(num_test, len(names) - 1), 1)
        test, train = names[:num_test], sorted(names[num_test:])
        ignored, loose = [], 0
    else:
        # Test images first: a file that links put into both splits is held out.
        (test, train), skipped = find_images(root, folders[::-1])
        ignored = [name for name in visible if name not in folders]
        loose = len(entries) - len(visible)
    # Shuffle the classes, so that the first test images represent all of them.
    test.sort(key=_position)
    return SplitFiles(train, test, folders, ignored, loose, skipped)


def find_images(
    root: str, folders: Sequence[str]
) -> tuple[list[list[str]], dict[str, int]]:
    """Finds the images below some folders, each once even if several links lead to it.

    A file is listed by its own path if that lies below one of the folders, or else by
    the first link to it. Names that begin with a dot are ignored.

    Args:
        root: an absolute path.
        folders: paths relative to root. A file that links put into several of these
            folders is listed for the first one.

    Returns:
        The sorted paths of the images of each folder, relative to root, and the number
        of other files by extension, in lower case with the dot.

    Raises:
        InputError: a folder cannot be listed.
    """
    seen: set[str] = set()
    other: dict[str, str] = {}
    names: list[list[str]] = [[] for _ in folders]
    links: list[list[str]] = [[] for _ in folders]

    def visit(i: int, name: str, real: str, is_dir: bool) -> None:
        if real in seen:
            return
        extension = os.path.splitext(name)[1].lower()
        if is_dir:
            seen.add(real)
            for entry in _entries(real):
                below = f"{name}/{entry.name}" if name else entry.name
                if entry.is_symlink():
                    links[i].append(below)
                else:
                    visit(i, below, entry.path, entry.is_dir())
        elif extension in EXTENSIONS:
            seen.add(real)
            names[i].append(name)
        else:
            other[real] = extension

    def visit_path(i: int, name: str) -> None:
        real = os.path.realpath(os.path.join(root, name))
        visit(i, name, real, os.path.isdir(real))

    for i, folder in enumerate(folders):
        visit_path(i, folder)
    for i in range(len(folders)):
        for link in links[i]:  # Following a link may append more of them.
            visit_path(i, link)
    skipped = collections.Counter(
        extension for real, extension in sorted(other.items()) if real not in seen
    )
    return [sorted(found) for found in names], dict(skipped.most_common())


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Returns the entries of a folder sorted by name, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"{folder!r} cannot be listed ({short_reason(error)}); make it readable"
        ) from error
    return sorted(visible, key=lambda entry: entry.name)


def _split_folders(path: str, root: str, names: list[str]) -> tuple[str, str] | None:
    """Returns the names of the training and the test folder, or None."""
    train = [name for name in names if name.lower() in _TRAIN]
    test = [name for name in names if name.lower() in _TEST]
    test.sort(key=lambda name: _TEST.index(name.lower()))
    if not train or not test:
        _check_no_split_is_missing(path, names, train + test)
        return None
    for same in (train, [x for x in test if x.lower() == test[0].lower()]):
        if len(same) > 1:
            raise InputError(
                f"{path}: the subfolders {same[0]!r} and {same[1]!r} are named after "
                "the same split; merge them or rename one"
            )
    real_train, real_test = (
        os.path.realpath(os.path.join(root, name)) for name in (train[0], test[0])
    )
    if os.path.commonpath([real_train, real_test]) == real_test:
        raise InputError(
            f"{path}: the images in {train[0]!r} are also in {test[0]!r}, by a link; "
            "the test images must be held out from training"
        )
    return train[0], test[0]


def _check_no_split_is_missing(path: str, names: list[str], splits: list[str]) -> None:
    """Raises an InputError if folders look like splits but are not a usable pair."""
    like_train = [name for name in names if _is_like(name, _TRAIN)]
    like_test = [name for name in names if _is_like(name, _TEST)]
    if like_train and like_test:
        raise InputError(
            f"{path}: the subfolders {like_train[0]!r} and {like_test[0]!r} look like "
            "splits; name them 'train' and 'test', or rename them if they are classes"
        )
    if splits:
        name = splits[0]
        missing = "test" if name.lower() in _TRAIN else "train"
        raise InputError(
            f"{path}: the subfolder {name!r} is named like a split, but there is no "
            f"subfolder {missing!r}; add it, set `data.path` to "
            f"{os.path.join(path, name)!r} to split these images by "
            f"`data.test_fraction`, or rename {name!r} if it is not a split"
        )


def _is_like(folder: str, splits: Sequence[str]) -> bool:
    """Whether a word in the name is that of a split, as in train2017 or TestSet."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", folder)
    return any(word.lower().removesuffix("set") in splits for word in words)


def _check_no_splits_below(path: str, names: list[str]) -> None:
    """Raises an InputError if a subfolder contains split folders."""
    below = collections.defaultdict(set)
    for folder in sorted({os.path.dirname(name) for name in names}):
        while folder:
            folder, name = os.path.split(folder)
            below[folder].add(name)
    for folder, inside in sorted(below.items()):
        for train in sorted(inside):
            tests = sorted(name for name in inside if name.lower() in _TEST)
            if train.lower() in _TRAIN and tests:
                raise InputError(
                    f"{path}: the splits {train!r} and {tests[0]!r} are in the "
                    f"subfolder {folder!r}; set `data.path` to "
                    f"{os.path.join(path, folder)!r}, or move them to {path!r}"
                )


def _position(name: str) -> float:
    """Hashes a name to a number in [0, 1), uniform over names."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:6]) / 2**48
