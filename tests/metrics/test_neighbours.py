"""Precision, recall and nearest images against scikit-learn's nearest neighbours."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from colddiff_jax.checks import InputError
from colddiff_jax.metrics import neighbours
from colddiff_jax.metrics.neighbours import (
    copied_share,
    nearest_images,
    precision_recall,
)


def two_sets(size=16, counts=(300, 200)):
    """Sets that partly overlap."""
    generator = np.random.default_rng(0)
    reference = generator.normal(size=(counts[0], size))
    features = generator.normal(size=(counts[1], size)) * 0.8
    features[:, 0] += 2
    return reference, features


def counts_by_scikit_learn(x, y, num_neighbours):
    """Number of y within x, and of x within y."""

    def radii(z):
        tree = NearestNeighbors(algorithm="kd_tree").fit(z)
        # The nearest neighbour is the row itself.
        return tree.kneighbors(z, num_neighbours + 1)[0][:, -1]

    def count(inner, outer, outer_radii):
        tree = NearestNeighbors(algorithm="kd_tree").fit(outer)
        distances, indices = tree.kneighbors(inner, len(outer))
        return int((distances <= outer_radii[indices]).any(axis=1).sum())

    return count(y, x, radii(x)), count(x, y, radii(y))


@pytest.mark.parametrize("num_neighbours", [1, 3, 10])
def test_counts_match_scikit_learn(num_neighbours):
    x, y = two_sets()
    found = precision_recall(x, y, num_neighbours=num_neighbours)
    within_x, within_y = counts_by_scikit_learn(x, y, num_neighbours)
    assert 0 < within_x < len(y) and 0 < within_y < len(x)
    assert round(found.precision * len(y), 9) == within_x
    assert round(found.recall * len(x), 9) == within_y


def test_precision_and_recall_match_recorded_ones(recorded):
    found = precision_recall(recorded["x"], recorded["y"])
    expected = recorded["precision_recall"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equal_sets_lie_within_each_other():
    x, _ = two_sets()
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x, x[::-1]) == (1, 1)


def test_distant_sets_have_zero_precision_and_recall():
    x, y = two_sets()
    assert precision_recall(x, y + 100) == (0, 0)


def test_a_subset_has_full_precision_and_low_recall():
    x, _ = two_sets(size=2)
    found = precision_recall(x, x[x[:, 0] > 1])
    assert found.precision == 1
    assert 0 < found.recall < 0.5


def test_swapping_the_sets_swaps_precision_and_recall():
    x, y = two_sets()
    assert precision_recall(y, x) == precision_recall(x, y)[::-1]


def test_the_chunk_size_does_not_change_the_result(monkeypatch):
    x, y = two_sets()
    whole = precision_recall(x, y)
    for rows in (1, 7, 299):
        monkeypatch.setattr(neighbours, "_CHUNK_BYTES", rows * 8 * len(x))
        assert precision_recall(x, y) == whole


def test_shifting_both_sets_does_not_change_the_result():
    x, y = two_sets()
    assert precision_recall(x + 1000, y + 1000) == precision_recall(x, y)


def test_features_of_float32_are_compared_in_float64():
    x, y = (features.astype(np.float32) for features in two_sets())
    expected = precision_recall(x.astype(np.float64), y.astype(np.float64))
    assert precision_recall(x, y) == expected


def test_a_set_of_duplicates_is_precise_only_on_a_reference_image():
    x, _ = two_sets()
    copies = np.repeat(x[5:6], 10, axis=0)
    assert precision_recall(x, copies) == (1, 1 / len(x))
    assert precision_recall(x, copies + 100) == (0, 0)


def test_a_duplicated_reference_image_covers_only_its_duplicates():
    x, _ = two_sets()
    x[:5] = x[5] + 10  # Five equal images, each with four duplicates: r_3 = 0.
    y = np.concatenate([x[:1], x[:1] + 1e-3, x[:1] + 20 + np.eye(16)])
    assert precision_recall(x, y).precision == 1 / len(y)


def test_features_equal_up_to_float32_rounding_are_duplicates():
    x, _ = two_sets(size=512)
    copies = np.repeat(x[5:6] + 10, 10, axis=0)
    noise = np.random.default_rng(0).normal(size=copies.shape)
    assert precision_recall(copies, copies * (1 + 1e-7 * noise)) == (1, 1)
    assert precision_recall(copies, copies * (1 + 1e-5 * noise)) == (0, 1)


def test_raises_for_bad_input():
    x, y = two_sets()
    with pytest.raises(InputError, match="more than num_neighbours = 3 images, got 3"):
        precision_recall(x[:3], y)
    with pytest.raises(InputError, match="features must hold more"):
        precision_recall(x, y[:3])
    with pytest.raises(InputError, match="num_neighbours must be at least 1, got 0"):
        precision_recall(x, y, num_neighbours=0)
    with pytest.raises(InputError, match="same length, got 16 and 15"):
        precision_recall(x, y[:, 1:])
    y[7, 3] = np.inf
    with pytest.raises(InputError, match="features of image 7 "):
        precision_recall(x, y)


def random_pixels(*counts, shape=(8, 6, 3)):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (n, *shape), np.uint8) for n in counts]


def test_nearest_images_match_scikit_learn():
    images, reference = random_pixels(40, 300)
    distances, indices = nearest_images(images, reference)
    tree = NearestNeighbors(n_neighbors=1).fit(reference.reshape(300, -1))
    expected, nearest = tree.kneighbors(images.reshape(40, -1))
    np.testing.assert_array_equal(indices, nearest[:, 0])
    size = images[0].size
    np.testing.assert_allclose(distances, expected[:, 0] / size**0.5 / 255, rtol=1e-12)


def test_the_nearest_image_of_a_copy_is_its_original_at_distance_0():
    (reference,) = random_pixels(50, shape=(64, 64, 3))
    chosen = np.array([49, 3, 3, 0])
    copies = reference[chosen]
    copies[3, 5, 5, 1] ^= 1  # One value of 12,288 differs by one.
    distances, indices = nearest_images(copies, reference)
    np.testing.assert_array_equal(indices, chosen)
    np.testing.assert_allclose(
        distances, [0, 0, 0, 1 / 12288**0.5 / 255], rtol=1e-12, atol=0
    )


def test_of_equally_near_images_the_first_is_found():
    images, reference = random_pixels(3, 20)
    found = nearest_images(images, np.concatenate([reference, reference[::-1]]))
    np.testing.assert_array_equal(found.indices, nearest_images(images, reference)[1])


def test_the_chunk_size_does_not_change_the_nearest_images(monkeypatch):
    images, reference = random_pixels(30, 50)
    whole = nearest_images(images, reference)
    for numbers in (1, 1000, 5000):  # One row, 6 and 34 rows of 144 values.
        monkeypatch.setattr(neighbours, "_CHUNK_BYTES", 8 * numbers)
        for found, expected in zip(
            nearest_images(images, reference), whole, strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_of_fresh_distances_the_chosen_share_counts_as_copied():
    fresh = np.random.default_rng(0).uniform(size=2000)
    assert copied_share(fresh, fresh) == 0.01
    assert copied_share(fresh, fresh, quantile=0.25) == 0.25
    assert copied_share(fresh + 1, fresh) == 0
    assert copied_share(np.zeros(7), fresh) == 1
    others = np.random.default_rng(1).uniform(size=20_000)
    assert 0.005 < copied_share(others, fresh) < 0.015


def test_copies_are_found_even_if_fresh_images_are_copies_too():
    assert copied_share([0.0, 0.1], np.repeat([0.0, 0.2], [5, 95])) == 0.5


def test_nearest_images_and_shares_raise_for_bad_input():
    images, reference = random_pixels(2, 3)
    with pytest.raises(TypeError, match="must be uint8, got dtype float32"):
        nearest_images(images.astype(np.float32), reference)
    with pytest.raises(InputError, match=r"reference must have shape \[N, H, W, C\]"):
        nearest_images(images, reference[:0])
    with pytest.raises(InputError, match=r"one shape, got \(8, 6, 3\) and \(6, 8, 3\)"):
        nearest_images(images, reference.swapaxes(1, 2))
    with pytest.raises(InputError, match=r"distances must be one per image, .* \(0,\)"):
        copied_share([], [1.0])
    with pytest.raises(InputError, match="fresh_distances must be finite"):
        copied_share([1.0], [np.nan])
    with pytest.raises(InputError, match=r"quantile must lie in 0\.\.1, got 1\.5"):
        copied_share([1.0], [1.0], quantile=1.5)
