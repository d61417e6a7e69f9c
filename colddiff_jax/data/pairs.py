"""Pairs of a clean and a degraded image of the same scene."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data.folder import check_options
from colddiff_jax.data.folder_report import report_pairs, report_skipped
from colddiff_jax.data.folder_splits import find_images, find_splits
from colddiff_jax.data.image_files import ImageFiles, readable_files
from colddiff_jax.data.splits import ImageSplits
from colddiff_jax.reprs import short_repr

_NUM_NAMED = 3  # Files without a partner that an error names.


class Pairs(NamedTuple):
    """Clean images and their degraded partners, at the same indices.

    Attributes:
        clean: the clean images, with their labels.
        degraded: their partners.

    Example:
        >>> x = np.zeros((6, 8, 8, 1), np.uint8)
        >>> splits = ImageSplits(train=x[:4], test=x[4:])
        >>> len(Pairs(clean=splits, degraded=splits).degraded.test)
        2
    """

    clean: ImageSplits
    degraded: ImageSplits

    def __repr__(self) -> str:
        return short_repr(self)


def pair_folder(
    clean: ImageSplits, *, path: str, channels: int = 3, max_unreadable: float = 0.01
) -> Pairs:
    """Finds the degraded partners of image files in another folder.

    Partners have the same path relative to their folders, but for the extension. The
    split is that of the clean file. A pair is left out if either half is broken.

    Args:
        clean: from `folder`.
        path: the folder of the degraded images.
        channels: as for `folder`.
        max_unreadable: fraction of the degraded files that may be broken.

    Returns:
        The pairs, in the order of the clean images.

    Raises:
        InputError: no such folder, files without a partner, two files of one name,
            partners of different sizes, or too many broken files.

    Example:
        >>> clean = folder(path="photos")
        photos: 22 training images and 2 test images, ...
        >>> pairs = pair_folder(clean, path="photos")   # Each is its own partner.
        photos: 22 training pairs and 2 test pairs
        >>> len(pairs.degraded.train)
        22
    """
    path = os.path.expanduser(path)
    check_options(path, channels, max_unreadable=max_unreadable)
    train, test = clean.train, clean.test
    assert isinstance(train, ImageFiles) and isinstance(test, ImageFiles)
    root = os.path.abspath(path)
    # Any fraction will do: only the subfolders of the splits count, if there are any.
    found = find_splits(train.root, train.root, 0.5)
    by_split, skipped = find_images(root, found.folders or [""])
    report_skipped(path, skipped)
    originals = _by_stem(train.root, [*found.train, *found.test])
    partners = _by_stem(path, [name for names in by_split for name in names])
    _check_all_matched(train.root, originals, path, partners)
    sizes = readable_files(path, root, [*partners.values()], channels, max_unreadable)

    def partner(name: str) -> str:
        return partners[os.path.splitext(name)[0]]

    def halves(split: str, files: ImageFiles) -> tuple[list[int], ImageFiles]:
        """Returns the indices of the clean files to keep, and their partners."""
        indices = [i for i, name in enumerate(files.names) if partner(name) in sizes]
        if not indices:
            raise InputError(
                f"{path}: no pair in the split {split!r} has two readable halves; add "
                "some"
            )
        names = [partner(files.names[i]) for i in indices]
        others = ImageFiles(root, names, channels, [sizes[name] for name in names])
        _check_file_sizes(files.chosen(indices), others)
        return indices, others

    kept_train, others_train = halves("train", train)
    kept_test, others_test = halves("test", test)
    pairs = Pairs(
        _chosen(clean, kept_train, kept_test), ImageSplits(others_train, others_test)
    )
    report_pairs(path, pairs.degraded, len(originals))
    return pairs


def pair_arrays(clean: ImageSplits, degraded: ImageSplits) -> Pairs:
    """Pairs the images of arrays by their indices.

    Args:
        clean: images uint8 [N, H, W, C], such as those of `npz`.
        degraded: as many, of the same size.

    Raises:
        InputError: images that are not arrays, or arrays of different lengths or sizes.

    Example:
        >>> x = np.zeros((6, 8, 8, 1), np.uint8)
        >>> splits = ImageSplits(train=x[:4], test=x[4:])
        >>> len(pair_arrays(splits, splits).degraded.train)
        4
    """
    for kind, ours, theirs in (
        ("training", clean.train, degraded.train),
        ("test", clean.test, degraded.test),
    ):
        if not (isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray)):
            raise InputError(
                "pairs must be files in two folders (`data.source` folder, for both) "
                "or two arrays (npz); these are neither"
            )
        if len(ours) != len(theirs):
            raise InputError(
                f"pairs need as many degraded images as clean ones; there are "
                f"{len(ours)} clean {kind} images and {len(theirs)} degraded ones"
            )
        if ours.shape[1:3] != theirs.shape[1:3]:
            raise InputError(
                f"pairs need images of one size; the clean {kind} images have "
                f"{_size(ours.shape[1:3])} pixels and the degraded ones "
                f"{_size(theirs.shape[1:3])}"
            )
    return Pairs(clean, degraded)


def _by_stem(path: str, names: Sequence[str]) -> dict[str, str]:
    """Returns the files by their paths without extension."""
    found: dict[str, str] = {}
    for name in names:
        stem = os.path.splitext(name)[0]
        if stem in found:
            raise InputError(
                f"{path}: {found[stem]!r} and {name!r} differ in their extension only, "
                "by which pairs are not told apart; rename or remove one of them"
            )
        found[stem] = name
    return found


def _check_all_matched(
    clean: str, originals: dict[str, str], path: str, partners: dict[str, str]
) -> None:
    texts = []
    for own, files, other, others in (
        (clean, originals, path, partners),
        (path, partners, clean, originals),
    ):
        alone = sorted(files[stem] for stem in files.keys() - others.keys())
        if alone:
            named = ", ".join(repr(name) for name in alone[:_NUM_NAMED])
            more = ", ..." * (len(alone) > _NUM_NAMED)
            texts.append(
                f"{len(alone)} of {len(files)} images in {own!r} have no partner in "
                f"{other!r} ({named}{more})"
            )
    if texts:
        raise InputError(
            f"{'; '.join(texts)}; both halves of a pair need the same path below their "
            "folders, up to the extension"
        )


def _check_file_sizes(clean: ImageFiles, degraded: ImageFiles) -> None:
    sizes = list(zip(clean.sizes, degraded.sizes, strict=True))
    differ = [i for i, (ours, theirs) in enumerate(sizes) if ours != theirs]
    if differ:
        first = differ[0]
        ours, theirs = sizes[first]
        raise InputError(
            f"{clean.path_of(first)} has {_size(ours)} pixels and its partner "
            f"{degraded.path_of(first)} {_size(theirs)}; both halves of a pair need "
            f"the same size (pairs that differ: {len(differ)} of {len(sizes)})"
        )


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _chosen(
    splits: ImageSplits, train: Sequence[int], test: Sequence[int]
) -> ImageSplits:
    """Returns the images with these indices, and their labels."""
    assert isinstance(splits.train, ImageFiles) and isinstance(splits.test, ImageFiles)
    chosen = ImageSplits(
        splits.train.chosen(train),
        splits.test.chosen(test),
        class_names=splits.class_names,
    )
    if splits.train_labels is None or splits.test_labels is None:
        return chosen
    return chosen._replace(
        train_labels=splits.train_labels[np.asarray(train)],
        test_labels=splits.test_labels[np.asarray(test)],
    )
