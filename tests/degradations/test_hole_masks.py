"""holes: random ones, and those of a given mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from colddiff_jax import holes, sample_alg2

T = 5


def test_holes_are_nested_and_missing_pixels_are_grey():
    x = jnp.ones((3, 40, 56, 1))
    degrade = holes((40, 56), T).bind(jax.random.key(0), x.shape)
    images = np.stack([degrade(x, t) for t in range(T + 1)])
    assert set(np.unique(images)) == {0.0, 1.0}
    assert (np.diff(images, axis=0) <= 0).all()
    missing = (images == 0).mean(axis=(1, 2, 3, 4))
    assert missing[0] == 0 and (np.diff(missing) > 0).all()
    assert 0.02 < missing[T] < 0.5


def test_random_holes_have_all_places_and_sizes_within_the_radii():
    x = jnp.ones((200, 64, 64, 1))
    degrade = holes(64, T, radii=(2.0, 16.0), density=1.0)
    missing = np.asarray(degrade.bind(jax.random.key(1), x.shape)(x, T)) == 0
    often = missing.mean(axis=0)[..., 0]  # How often each pixel is missing.
    blocks = often[16:48, 16:48].reshape(4, 8, 4, 8).mean(axis=(1, 3))
    assert 0.6 * blocks.mean() < blocks.min() and blocks.max() < 1.6 * blocks.mean()
    alone = holes(256, T, radii=(3.0, 9.0), density=0.01)  # At most one hole.
    x = jnp.ones((300, 256, 256, 1))
    missing = np.asarray(alone.bind(jax.random.key(2), x.shape)(x, T))[..., 0] == 0
    areas = missing.sum(axis=(1, 2))
    assert 100 < (areas == 0).sum() < 200  # Every other hole is present.
    assert areas.max() <= 4.1 * 9**2 and areas[areas > 0].min() < 0.5 * areas.max()


def test_given_masks_grow_from_the_middle_of_every_hole():
    mask = np.zeros((20, 30), np.uint8)
    mask[2:9, 3:10] = 255
    mask[12:15, 20:29] = 1
    degrade = holes((20, 30), T).with_mask(mask[None])
    x = jnp.ones((1, 20, 30, 1))
    np.testing.assert_array_equal(degrade(x, T)[0, ..., 0] == 0, mask != 0)
    first = np.asarray(degrade(x, 1)[0, ..., 0] == 0)
    _, num_labels = scipy.ndimage.label(first)
    assert num_labels == 2 and first[5, 6] and not first[2, 3]
    assert not first[(mask == 0)].any()


def test_a_mask_without_known_pixels_is_one_hole():
    degrade = holes(6, T).with_mask(np.ones((1, 6, 6)))
    assert (np.asarray(degrade(jnp.ones((1, 6, 6, 1)), 1)) == 0).all()


def test_algorithm_2_keeps_known_pixels_to_the_bit():
    x_0 = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1.0)
    degrade = holes(32, T, density=20.0).bind(jax.random.key(1), x_0.shape)
    x_T = degrade(x_0, T)
    known = np.broadcast_to(np.asarray(degrade(jnp.ones_like(x_0), T)) == 1, x_0.shape)
    restored = sample_alg2(lambda x, t: jnp.full_like(x, 0.3), degrade, x_T).x_0
    np.testing.assert_allclose(
        np.asarray(restored)[known], np.asarray(x_0)[known], 1e-6
    )
    np.testing.assert_allclose(np.asarray(restored)[~known], 0.3, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_steps": 0}, "num_steps must be a positive integer"),
        ({"num_steps": 3, "density": 0}, "density must be positive, got 0"),
        (
            {"num_steps": 3, "radii": (4.0, 2.0)},
            r"radii must be two positive .* \(4\.0, 2\.0\)",
        ),
    ],
)
def test_invalid_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        holes(8, **arguments)


def test_holes_must_be_drawn_or_given_and_masks_fit():
    degrade = holes(8, T)
    with pytest.raises(ValueError, match="random holes that has not been drawn"):
        degrade(jnp.zeros((1, 8, 8, 1)), 1)
    with pytest.raises(ValueError, match=r"masks must have the shape \[B, 8, 8\]"):
        degrade.with_mask(np.zeros((1, 8, 9)))
