"""Checking the splits that a source returns."""

import numpy as np
import pytest

from colddiff_jax import InputError, data
from colddiff_jax.data import ImageSplits

X = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)


class Source:
    """Random access to images that are not one array."""

    def __init__(self, images):
        self.images, self.read = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.read.append(index)
        return self.images[index]


def complaint(*splits, **options):
    with pytest.raises(InputError) as caught:
        data.check_splits(ImageSplits(*splits), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_valid_splits_pass_and_only_their_first_and_last_images_are_read():
    train = Source([*X, X[0, :7, :5]])
    checked = data.check_splits(ImageSplits(train, X))
    assert checked == ImageSplits(train, X) and set(train.read) == {0, 6}
    grey = np.zeros((1, 3, 4, 1), np.uint8)
    assert data.check_splits(ImageSplits(grey, grey)).train is grey


def test_labels_are_returned_as_int32():
    splits = ImageSplits(X, X[:2], np.arange(6), np.array([[3], [4]], np.uint8))
    checked = data.check_splits(splits)
    for labels, expected in ((checked.train_labels, range(6)), (checked[3], [3, 4])):
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, expected)
    assert checked.num_classes == 6


@pytest.mark.parametrize("splits", [(X, X), X, None, {"train": X, "test": X}])
def test_other_types_raise(splits):
    with pytest.raises(InputError) as caught:
        data.check_splits(splits, where="endpoints")
    expected = f"endpoints: expected ImageSplits, got {type(splits).__name__}; make "
    assert str(caught.value) == f"{expected}them with colddiff_jax.data.arrays"


@pytest.mark.parametrize("wrap", [lambda images: images, Source, list])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (X.astype(np.float32) / 255, "must be uint8 in 0..255, got float32; scale"),
        (X.astype(np.uint16), "must be uint8 in 0..255, got uint16; scale"),
        (X > 100, "must be uint8 in 0..255, got bool; scale"),
        (X[..., 0], "must have shape [H, W, C], got (8, 9); colddiff_jax.data.arrays"),
        (X[:, None], "must have shape [H, W, C], got (1, 8, 9, 3); colddiff"),
        (X[:, :0], "must have shape [H, W, C], got (0, 9, 3); colddiff"),
        (
            X.transpose(0, 3, 1, 2),
            "must have their channels last, [H, W, C], got shape (3, 8, 9); move them",
        ),
        (
            X[..., :1].transpose(0, 3, 1, 2),
            "must have their channels last, [H, W, C], got shape (1, 8, 9); move them",
        ),
    ],
)
def test_images_that_are_not_uint8_with_channels_last_raise(images, message, wrap):
    assert f"splits: train images {message}" in complaint(wrap(images), X)
    assert f"splits: test images {message}" in complaint(X, wrap(images))
    if wrap is list:
        assert f"train images {message}" in complaint([*X, *images], X)


def test_empty_splits_and_iterators_raise():
    assert "there are no training images; `data.source`" in complaint(X[:0], X)
    assert "there are no test images; `data.source`" in complaint(X, [])
    assert "train must be a sequence of images, got list_iterator" in complaint(
        iter(list(X)), X
    )


def test_splits_with_different_channels_raise():
    message = "splits: images have 1 and 3 channels; all must have the same number"
    assert complaint(X, X[..., :1]) == message
    assert complaint([X[0], X[0, ..., :1]], X) == message


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            range(5),
            range(6),
            "train_labels must have shape (6,), one per image, got (5",
        ),
        (range(6), range(7), "test_labels must have shape (6,), one per image, got (7"),
        (np.zeros(6), range(6), "train_labels must be integers in 0..K-1, got float64"),
        (range(6), range(-1, 5), "test_labels must lie in 0..K-1, got -1"),
        (range(6), None, "test_labels are missing; both splits need labels"),
        (None, range(6), "train_labels are missing; both splits need labels"),
    ],
)
def test_labels_that_do_not_fit_the_images_raise(train, test, message):
    labels = (None if x is None else np.asarray(x) for x in (train, test))
    assert f"splits: {message}" in complaint(X, X, *labels)
