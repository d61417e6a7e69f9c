"""gaussian_mask against the official code and its definition."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import gaussian_mask, schedules


def test_centred_masks_match_the_official_code(golden):
    name = "mask/Incremental/T100_std0.2_init1_r64"
    degrade = gaussian_mask(64, schedules.linear(100, start=0.2, increment=0.2))
    ones = np.ones((1, 64, 64, 3), np.float32)
    for t, recorded in zip(
        golden[f"{name}/t"], golden[f"{name}/mask_cumprod"], strict=True
    ):
        expected = np.broadcast_to(recorded[None, ..., None], ones.shape)
        np.testing.assert_allclose(degrade(ones, int(t)), expected, atol=1e-6, rtol=0)


def test_random_masks_match_the_official_code(golden):
    name = "mask/Random_Incremental/T50_std0.1_init1_r32"
    stds = schedules.linear(50, start=0.1, increment=0.1)
    windows = jnp.asarray(golden[f"{name}/offsets_row_col"], jnp.int32)
    degrade = dataclasses.replace(
        gaussian_mask(32, stds, center="random"), windows=windows
    )
    ones = np.ones((4, 32, 32, 1), np.float32)
    for t, recorded in zip(
        golden[f"{name}/t"], golden[f"{name}/mask_cumprod"], strict=True
    ):
        np.testing.assert_allclose(
            degrade(ones, int(t))[..., 0], recorded, atol=1e-6, rtol=0
        )


@hypothesis.settings(deadline=None, max_examples=30, derandomize=True)
@hypothesis.given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 4),
    st.lists(st.floats(0.1, 9.0), min_size=1, max_size=5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_masks_match_step_by_step_multiplication(
    height, width, channels, stds, down, right
):
    center = int(down * (height - 1)), int(right * (width - 1))
    degrade = gaussian_mask((height, width), stds, center=center)
    rows, columns = np.mgrid[:height, :width]
    squared = (rows - center[0]) ** 2 + (columns - center[1]) ** 2
    x = np.random.default_rng(0).uniform(-1, 1, (1, height, width, channels))
    expected = x
    for t, std in enumerate(stds, start=1):
        expected = expected * (1 - np.exp(-squared / (2 * std**2)))[..., None]
        x_t = degrade(x.astype(np.float32), t)
        np.testing.assert_allclose(x_t, expected, atol=1e-6)
        np.testing.assert_array_equal(x_t[0, *center], 0)


def test_tiny_std_masks_only_the_centre():
    x_t = gaussian_mask(5, [1e-200], center=(2, 3))(np.ones((1, 5, 5, 1), "f"), 1)
    assert np.asarray(x_t).sum() == 24 and x_t[0, 2, 3, 0] == 0


def test_random_mask_equals_a_mask_at_the_drawn_centre():
    stds = [1.0, 2.0]
    x = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)).astype(np.float32)
    degrade = gaussian_mask(8, stds, center="random").bind(jax.random.key(0), x.shape)
    for i, window in enumerate(np.asarray(degrade.windows)):
        center = (int(7 - window[0]), int(7 - window[1]))
        expected = gaussian_mask(8, stds, center=center)(x[i : i + 1], 2)
        np.testing.assert_allclose(degrade(x, 2)[i : i + 1], expected, atol=1e-7)


def test_random_centres_range_from_minus_one_to_side_minus_one():
    degrade = gaussian_mask((4, 6), [1.0], center="random")
    windows = degrade.bind(jax.random.key(1), (2000, 4, 6, 1)).windows
    assert np.unique(3 - windows[:, 0]).tolist() == [-1, 0, 1, 2, 3]
    assert np.unique(5 - windows[:, 1]).tolist() == [-1, 0, 1, 2, 3, 4, 5]


def test_one_key_per_example_draws_the_same_mask_in_any_batch():
    degrade = gaussian_mask(8, [1.0], center="random")

    def keys():
        return jax.random.split(jax.random.key(0), 6)

    whole = degrade.bind(keys(), (6, 8, 8, 1)).windows
    parts = [degrade.bind(keys()[i : i + 2], (2, 8, 8, 1)).windows for i in (0, 2, 4)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_unbound_or_wrongly_bound_mask_raises():
    degrade = gaussian_mask(8, [1.0], center="random")
    x = jnp.zeros((2, 8, 8, 1))
    with pytest.raises(
        ValueError, match=r"call degrade = degrade\.bind\(key, x\.shape\)"
    ):
        degrade(x, 1)
    with pytest.raises(ValueError, match="bound to 3 examples, got 2"):
        degrade.bind(jax.random.key(0), (3, 8, 8, 1))(x, 1)
    with pytest.raises(
        ValueError, match=r"one per example, shape \(2,\); got shape \(5,\)"
    ):
        degrade.bind(jax.random.split(jax.random.key(0), 5), (2, 8, 8, 1))


@pytest.mark.parametrize(
    "center", ["left", (1, 2, 3), 5, None, (np.nan, 2), (8, 2), (-2, 0), ("a", "b")]
)
def test_invalid_centre_raises(center):
    with pytest.raises(ValueError, match=r'center must be "middle", "random" or'):
        gaussian_mask(8, [1.0], center=center)
