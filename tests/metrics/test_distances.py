"""Frechet and kernel distances: their properties, and other programs' results."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.metrics.pairwise import polynomial_kernel

from colddiff_jax.checks import InputError
from colddiff_jax.metrics.distances import (
    Moments,
    MomentsAccumulator,
    frechet_distance,
    kernel_distance,
)


def moments(features, batch_size=None):
    accumulator = MomentsAccumulator()
    step = batch_size or len(features)
    for start in range(0, len(features), step):
        accumulator.add(features[start : start + step])
    return accumulator.finish()


def correlated(seed, count, size):
    """Features as a network computes: non-negative, correlated, away from 0."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(size, size)) / np.sqrt(size)
    return np.maximum(generator.normal(size=(count, size)) @ mixing + 0.5, 0)


def frechet_by_sqrtm(x, y):
    """The formula as implemented in pytorch-fid."""
    root = scipy.linalg.sqrtm(x.covariance @ y.covariance)
    difference = x.mean - y.mean
    return (
        difference @ difference
        + np.trace(x.covariance)
        + np.trace(y.covariance)
        - 2 * np.trace(root).real
    )


# Moments


def test_moments_are_the_mean_and_the_unbiased_covariance():
    x = correlated(0, 50, 8)
    found = moments(x)
    assert found.count == 50
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(
        found.covariance, np.cov(x, rowvar=False), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("batch_size", [1, 2, 7, 49, 50])
def test_moments_do_not_depend_on_the_batches(batch_size):
    x = correlated(0, 50, 8) + 100  # Sums of squares would lose four digits.
    whole, found = moments(x), moments(x, batch_size)
    assert found.count == 50
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(found.covariance, whole.covariance, atol=1e-12)


def test_an_empty_batch_changes_nothing():
    x = correlated(0, 20, 4)
    accumulator = MomentsAccumulator()
    for batch in (x[:0], x[:11], x[:0], x[11:]):
        accumulator.add(batch)
    covariance = accumulator.finish().covariance
    np.testing.assert_allclose(covariance, np.cov(x, rowvar=False), atol=1e-13)


def test_features_far_from_zero_keep_their_covariance():
    x = correlated(0, 200, 4)
    covariance = moments(x + 1e7, 13).covariance
    np.testing.assert_allclose(covariance, np.cov(x, rowvar=False), atol=1e-7)


def test_moments_of_float32_features_are_summed_in_float64():
    x = correlated(0, 1000, 4).astype(np.float32)
    found = moments(x, 3)
    assert found.mean.dtype == found.covariance.dtype == np.float64
    np.testing.assert_allclose(found.mean, x.astype(np.float64).mean(0), rtol=1e-13)


def test_finished_moments_do_not_change_when_more_is_added():
    x = correlated(0, 20, 4)
    accumulator = MomentsAccumulator()
    accumulator.add(x[:10])
    first = accumulator.finish()
    accumulator.add(x[10:])
    np.testing.assert_allclose(first.mean, x[:10].mean(axis=0), rtol=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_raises_for_features_that_are_not_finite_with_the_image_index(bad):
    x = correlated(0, 20, 4)
    accumulator = MomentsAccumulator()
    accumulator.add(x[:15])
    x[17, 2] = bad
    with pytest.raises(InputError, match=r"features of image 17 \(counted from 0\)"):
        accumulator.add(x[15:])


@pytest.mark.parametrize("count", [0, 1])
def test_raises_for_too_few_images_for_a_covariance(count):
    accumulator = MomentsAccumulator()
    accumulator.add(correlated(0, 5, 4)[:count])
    with pytest.raises(InputError, match=f"at least 2 images, got {count}"):
        accumulator.finish()


def test_raises_for_features_of_another_shape():
    accumulator = MomentsAccumulator()
    accumulator.add(correlated(0, 5, 4))
    with pytest.raises(InputError, match=r"must have 4 columns .* got 5"):
        accumulator.add(correlated(0, 5, 5))
    with pytest.raises(InputError, match=r"shape \[N, F\].* got \(5, 4, 1\)"):
        accumulator.add(correlated(0, 5, 4)[..., None])


# The Frechet distance


@pytest.mark.parametrize("count", [2, 20, 500])
def test_equal_sets_have_frechet_distance_zero(count):
    x = moments(correlated(0, count, 64))
    assert 0 <= frechet_distance(x, x) < 1e-9 * np.trace(x.covariance)


@pytest.mark.parametrize("count", [20, 500])
def test_the_frechet_distance_is_symmetric(count):
    x, y = moments(correlated(0, count, 64)), moments(1.3 * correlated(1, 100, 64))
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)


@pytest.mark.parametrize("count", [20, 500])
def test_a_shift_by_d_adds_its_squared_length(count):
    x = correlated(0, count, 64)
    d = np.random.default_rng(1).normal(size=64)
    distance = frechet_distance(moments(x), moments(x + d))
    assert distance == pytest.approx(d @ d, rel=1e-9)


def test_commuting_covariances_have_the_distance_of_their_deviations():
    generator = np.random.default_rng(0)
    rotation = np.linalg.qr(generator.normal(size=(16, 16)))[0]
    a, b = generator.uniform(0, 3, (2, 16))
    a[:4] = 0  # Flat in some directions.
    x, y = (
        Moments(100, np.zeros(16), rotation * deviations**2 @ rotation.T)
        for deviations in (a, b)
    )
    assert frechet_distance(x, y) == pytest.approx(np.sum((a - b) ** 2), rel=1e-9)


def test_sets_without_variation_differ_only_by_their_means():
    x = Moments(2, np.array([1.0, 2.0]), np.zeros((2, 2)))
    y = Moments(2, np.array([4.0, 6.0]), np.zeros((2, 2)))
    assert frechet_distance(x, y) == 25


def test_the_frechet_distance_of_orthogonal_subspaces_is_the_sum_of_the_variances():
    x, y = np.zeros((2, 10, 8))
    x[:, :4] = np.random.default_rng(0).normal(size=(10, 4))
    y[:, 4:] = np.random.default_rng(1).normal(size=(10, 4))
    x, y = moments(x - x.mean(axis=0)), moments(y - y.mean(axis=0))
    variances = np.trace(x.covariance) + np.trace(y.covariance)
    assert frechet_distance(x, y) == pytest.approx(variances, rel=1e-9)


@pytest.mark.parametrize("count", [20, 500])
def test_a_rotation_of_both_sets_does_not_change_the_frechet_distance(count):
    x, y = correlated(0, count, 64), 1.2 * correlated(1, 100, 64)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(64, 64)))[0]
    distance = frechet_distance(moments(x), moments(y))
    rotated = frechet_distance(moments(x @ rotation), moments(y @ rotation))
    assert rotated == pytest.approx(distance, rel=1e-9)


def test_the_frechet_distance_agrees_with_the_root_of_the_product():
    x, y = moments(correlated(0, 500, 64)), moments(1.2 * correlated(1, 400, 64))
    assert frechet_distance(x, y) == pytest.approx(frechet_by_sqrtm(x, y), rel=1e-9)


def test_fewer_images_than_features_agree_with_regularised_covariances():
    # sqrtm itself is undefined here; pytorch-fid also adds to the diagonal.
    x, y = moments(correlated(0, 20, 64)), moments(1.2 * correlated(1, 30, 64))
    regularised = [
        Moments(z.count, z.mean, z.covariance + 1e-11 * np.eye(64)) for z in (x, y)
    ]
    expected = frechet_by_sqrtm(*regularised)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)


def test_few_images_with_many_features_have_an_exact_frechet_distance():
    # 50 images span 49 of 512 directions; projected covariances are small and exact.
    x, y = correlated(0, 50, 512), 1.1 * correlated(1, 50, 512)
    basis = np.linalg.qr(np.concatenate([x, y]).T)[0]
    distance = frechet_distance(moments(x), moments(y))
    projected = frechet_distance(moments(x @ basis), moments(y @ basis))
    assert distance == pytest.approx(projected, rel=1e-9)


def test_raises_for_features_of_different_lengths():
    x, y = correlated(0, 10, 4), correlated(1, 10, 5)
    with pytest.raises(InputError, match="same length, got 4 and 5"):
        frechet_distance(moments(x), moments(y))
    with pytest.raises(InputError, match="same length, got 4 and 5"):
        kernel_distance(x, y)


# The kernel distance


def test_the_kernel_distance_of_whole_sets_agrees_with_scikit_learn():
    x, y = correlated(0, 60, 16), 1.2 * correlated(1, 60, 16)
    kernels = [
        polynomial_kernel(a, b, degree=3, gamma=1 / 16, coef0=1)
        for a, b in ((x, x), (y, y), (x, y))
    ]
    others = ~np.eye(60, dtype=bool)
    within_x, within_y = (kernel[others].mean() for kernel in kernels[:2])
    expected = within_x + within_y - 2 * kernels[2].mean()
    mean, std = kernel_distance(x, y, num_subsets=3, subset_size=60)
    assert mean == pytest.approx(expected, rel=1e-9)
    assert std == 0


def test_subsets_are_at_most_as_large_as_the_smaller_set():
    x, y = correlated(0, 60, 16), 1.2 * correlated(1, 40, 16)
    expected = kernel_distance(x, y, subset_size=40)
    assert kernel_distance(x, y, subset_size=1000) == expected


def test_the_kernel_distance_of_equal_distributions_is_zero_within_its_error():
    x, y = correlated(0, 3000, 16), correlated(1, 3000, 16)
    mean, std = kernel_distance(x, y, num_subsets=50, subset_size=200)
    other, _ = kernel_distance(x, 1.2 * y, num_subsets=50, subset_size=200)
    assert abs(mean) < std
    assert other > 10 * std


def test_the_kernel_distance_is_symmetric():
    x, y = correlated(0, 40, 16), 1.2 * correlated(1, 40, 16)
    assert kernel_distance(x, y)[0] == pytest.approx(kernel_distance(y, x)[0], rel=1e-9)


def test_only_the_seed_determines_the_subsets():
    x, y = correlated(0, 60, 16), 1.2 * correlated(1, 40, 16)
    options = {"num_subsets": 5, "subset_size": 20}
    first = kernel_distance(x, y, seed=1, **options)
    assert kernel_distance(x, y, seed=1, **options) == first
    assert kernel_distance(x, y, seed=2, **options) != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_subsets": 0}, "num_subsets must be at least 1, got 0"),
        ({"subset_size": 1}, "at least 2 images, got subset_size = 1"),
    ],
)
def test_raises_for_kernel_distance_options_out_of_range(options, message):
    x = correlated(0, 10, 4)
    with pytest.raises(InputError, match=message):
        kernel_distance(x, x, **options)


def test_kernel_distance_raises_for_features_that_are_not_finite():
    x, y = correlated(0, 10, 4), correlated(1, 10, 4)
    y[3, 0] = np.nan
    with pytest.raises(InputError, match="y of image 3 "):
        kernel_distance(x, y)


# Results of other programs


@pytest.mark.parametrize("program", ["pytorch_fid", "torch_fidelity"])
@pytest.mark.parametrize(("i", "count"), [(0, None), (1, 12)])
def test_frechet_distances_match_recorded_ones(recorded, program, i, count):
    x, y = moments(recorded["x"][:count]), moments(recorded["y"][:count])
    expected = recorded[f"frechet_{program}"][i]
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_kernel_distances_match_torch_fidelity_on_its_subsets(recorded):
    x, y = recorded["x"], recorded["y"]
    generator = np.random.RandomState(2020)
    distances = []
    for _ in range(20):
        x_subset = x[generator.choice(len(x), 50, replace=False)]
        y_subset = y[generator.choice(len(y), 50, replace=False)]
        distances.append(kernel_distance(x_subset, y_subset)[0])
    np.testing.assert_allclose(
        [np.mean(distances), np.std(distances)], recorded["kernel"], rtol=1e-6
    )
