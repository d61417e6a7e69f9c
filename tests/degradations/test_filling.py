"""Smooth filling of missing pixels."""

import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.degradations.filling import fill_smoothly


def hole(height, width, rows, columns):
    known = np.ones((1, height, width, 1), bool)
    known[:, rows, columns] = False
    return jnp.asarray(known)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (21, 37), (1, 9)])
def test_known_pixels_stay_and_others_have_no_effect(height, width):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, height, width, 3)).astype(np.float32)
    known = rng.uniform(size=(2, height, width, 1)) < 0.6
    found = fill_smoothly(jnp.asarray(x), jnp.asarray(known))
    np.testing.assert_array_equal(np.where(known, found, 0), np.where(known, x, 0))
    other = fill_smoothly(jnp.asarray(np.where(known, x, 7)), jnp.asarray(known))
    np.testing.assert_array_equal(found, other)


def test_a_plane_continues_through_a_hole():
    rows, columns = np.mgrid[:24, :24] / 24
    plane = jnp.asarray((rows - 2 * columns)[None, ..., None], jnp.float32)
    found = fill_smoothly(plane, hole(24, 24, slice(9, 15), slice(8, 16)))
    np.testing.assert_allclose(found, plane, atol=0.01)


def test_filled_pixels_lie_between_constant_surroundings():
    x = jnp.full((1, 16, 16, 1), -0.25)
    found = fill_smoothly(x, hole(16, 16, slice(2, 14), slice(0, 16)))
    np.testing.assert_allclose(found, x, atol=1e-6)


def test_an_image_of_which_nothing_is_known_is_grey():
    found = fill_smoothly(jnp.ones((1, 8, 8, 1)), jnp.zeros((1, 8, 8, 1), bool))
    np.testing.assert_array_equal(found, 0)


def test_a_smooth_scene_is_filled_better_than_by_its_mean():
    rows, columns = np.mgrid[:64, :64] / 64
    scene = np.sin(5 * rows + 3 * columns) * np.cos(4 * columns)
    x = jnp.asarray(scene[None, ..., None], jnp.float32)
    degrade = cd.holes(64, 1, radii=(4.0, 16.0), density=8.0)
    mask = np.zeros((1, 64, 64), bool)
    mask[:, 20:36, 10:40] = mask[:, 45:49, 5:60] = True
    degrade = degrade.with_mask(mask)
    errors = np.asarray(degrade.filled(degrade(x, 1), 1) - x)[0, ..., 0][mask[0]]
    assert np.sqrt(np.mean(errors**2)) < 0.25 * scene[mask[0]].std()
