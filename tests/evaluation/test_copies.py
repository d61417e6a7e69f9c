"""Copies of training images among generated ones."""

import numpy as np
import pytest

from colddiff_jax.evaluation import copies
from colddiff_jax.evaluation.copies import Copies, nearest_training_images


def smooth_images(count, seed):
    """Random images of 4 x 4 blocks, all from one distribution."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 4, 4, 1), np.uint8).repeat(2, 1).repeat(2, 2)


TRAIN, TEST = smooth_images(300, 0), smooth_images(1000, 1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_training_images_are_copies_and_fresh_images_are_not(mirrored):
    found = Copies(TRAIN, TEST, mirrored=mirrored, progress=False)
    scores, (pixels, nearest) = found.scores(TRAIN)
    assert scores == {"share": 1.0, "rmse": 0.0}
    np.testing.assert_array_equal(pixels, nearest)
    assert found.scores(TEST)[0]["share"] == 0.01
    fresh, _ = found.scores(smooth_images(3000, 2))
    assert 0.005 < fresh["share"] < 0.02
    half, _ = found.scores(np.concatenate([TRAIN, smooth_images(300, 3)]))
    assert 0.5 <= half["share"] < 0.52


def test_mirrored_training_images_are_copies_if_training_mirrored_them():
    mirror = TRAIN[:, :, ::-1]
    plain = Copies(TRAIN, TEST, mirrored=False, progress=False)
    assert plain.scores(mirror)[0]["share"] < 0.05
    with_mirrors = Copies(TRAIN, TEST, mirrored=True, progress=False)
    scores, (pixels, nearest) = with_mirrors.scores(mirror)
    assert scores == {"share": 1.0, "rmse": 0.0}
    np.testing.assert_array_equal(pixels, nearest)


def test_images_are_searched_for_in_parts(monkeypatch):
    whole = nearest_training_images(TEST[:50], TRAIN, mirrored=True)
    monkeypatch.setattr(copies, "_SEARCHED", 7)
    for found, expected in zip(
        nearest_training_images(TEST[:50], TRAIN, mirrored=True), whole, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_threshold_of_few_test_images_is_noted():
    few = Copies(TRAIN, TEST[:99], mirrored=False, progress=False)
    assert few.notes == [
        "the threshold for copies is uncertain: it is the 1 % quantile of only 99 test "
        "images"
    ]
    assert not Copies(TRAIN, TEST[:100], mirrored=False, progress=False).notes
