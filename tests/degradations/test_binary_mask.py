"""rank_mask and the spiral of the official code."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest

from colddiff_jax import rank_mask, spiral_ranks


def test_spiral_matches_the_official_code():
    expected = [[12, 13, 14, 15], [11, 2, 3, 4], [10, 1, 0, 5], [9, 8, 7, 6]]
    np.testing.assert_array_equal(spiral_ranks(4), expected)


@hypothesis.settings(deadline=None, max_examples=30, derandomize=True)
@hypothesis.given(st.integers(1, 12), st.integers(1, 12))
def test_spiral_is_a_connected_path_over_all_pixels(height, width):
    ranks = spiral_ranks((height, width))
    assert sorted(ranks.ravel()) == list(range(height * width))
    path = np.argwhere(ranks >= 0)[np.argsort(ranks.ravel())]
    assert (np.abs(np.diff(path, axis=0)).sum(axis=1) == 1).all()
    assert tuple(path[-1]) == (0, width - 1)


@hypothesis.settings(deadline=None, max_examples=30, derandomize=True)
@hypothesis.given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.lists(st.integers(0, 90), min_size=1, max_size=5).map(sorted),
)
def test_every_step_removes_the_pixels_of_lowest_rank(height, width, channels, counts):
    rng = np.random.default_rng(0)
    ranks = rng.permutation(height * width).reshape(height, width)
    x = rng.uniform(0.1, 1, (1, height, width, channels)).astype(np.float32)
    degrade = rank_mask(ranks, counts)
    expected = x
    for t, count in enumerate(counts, start=1):
        # Step by step: each mask multiplies the previous result.
        expected = expected * (ranks >= count)[None, :, :, None]
        np.testing.assert_array_equal(degrade(x, t), expected)


def test_one_pixel_per_step_needs_no_table_of_masks():
    degrade = rank_mask(spiral_ranks(128), range(1, 128 * 128 + 1))
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(degrade)) < 140_000
    x = np.ones((1, 128, 128, 1), np.float32)
    for t in (1, 777, 16384):
        assert np.asarray(degrade(x, t)).sum() == 16384 - t


def test_ranks_may_be_arbitrary_numbers_with_ties():
    ranks = np.array([[1e9 + 0.25, 1e9], [-5.0, 1e9]])
    degrade = rank_mask(ranks, [0.0, 1e9, 1e9 + 0.1, np.float64(2e9)])
    x = np.ones((1, 2, 2, 1), np.float32)
    for t, expected in enumerate(
        ([[1, 1], [0, 1]], [[1, 1], [0, 1]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]), 1
    ):
        np.testing.assert_array_equal(degrade(x, t)[0, ..., 0], expected)


def test_removed_pixels_are_filled_with_a_random_colour(photos):
    degrade = rank_mask(spiral_ranks(32), [100, 500], color_range=(0.0, 1.0))
    bound = degrade.bind(jax.random.key(0), photos.shape)
    colours = np.asarray(bound.colors)
    assert colours.shape == (4, 1, 1, 3) and len(np.unique(colours)) == 12
    assert (colours >= 0).all() and (colours <= 1).all()
    removed = (spiral_ranks(32) < 500)[None, :, :, None]
    expected = np.where(removed, colours, photos)
    np.testing.assert_array_equal(bound(photos, 2), expected)


@pytest.mark.parametrize(
    ("ranks", "counts", "message"),
    [
        (np.arange(4), [1], r"ranks must be one finite number per pixel, .* \(4,\)"),
        ([[0, np.nan]], [1], "ranks must be one finite number per pixel"),
        ([[0, 1]], [2, 1], r"counts must not decrease .* counts\[1\] = 1.0 after 2.0"),
        ([[0, 1]], [], "counts must list one number per step"),
    ],
)
def test_invalid_arguments_raise(ranks, counts, message):
    with pytest.raises(ValueError, match=message):
        rank_mask(np.asarray(ranks), counts)


@pytest.mark.parametrize("color_range", [0.5, (0.0,), (0.5, 0.2), (0, 2), (-np.inf, 0)])
def test_invalid_color_range_raises(color_range):
    with pytest.raises(ValueError, match=r"color_range must be \(low, high\) within"):
        rank_mask(spiral_ranks(4), [1], color_range=color_range)
