"""noisy: Gaussian noise on top of another degradation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import schedules

T = 4
STDS = [0.1, 0.2, 0.4, 0.5]


def test_the_noise_has_the_deviation_of_its_step_and_is_drawn_once():
    x = jnp.full((64, 16, 16, 1), 0.3)
    blur = cd.heat_blur(16, [1.0, 2.0, 3.0, 4.0])
    degrade = cd.noisy(blur, STDS).bind(jax.random.key(0), x.shape)
    for t, std in enumerate(STDS, start=1):
        noise = np.asarray(degrade(x, t) - blur(x, t))
        np.testing.assert_allclose(noise / std, degrade.endpoint, atol=1e-5)
        assert abs(noise.std() / std - 1) < 0.02 and abs(noise.mean()) < 0.02 * std


def test_a_faded_image_with_noise_is_that_of_gaussian_noise():
    alphas = np.asarray(schedules.cosine(T))
    expected = cd.gaussian_noise(alphas)
    fade = cd.fade(np.sqrt(alphas))
    degrade = cd.noisy(fade, np.sqrt(1 - alphas), gains=np.sqrt(alphas))
    x, z = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 1))
    for t in (2, jnp.array([1, 3, 4])):
        np.testing.assert_allclose(
            degrade.with_endpoint(z)(x, t), expected.with_endpoint(z)(x, t), atol=1e-6
        )
        for found, value in zip(degrade.levels(t), expected.levels(t), strict=True):
            np.testing.assert_allclose(found, value, atol=1e-6)


def test_the_noise_is_recovered_from_the_image():
    mask = cd.gaussian_mask(8, T * [2.0], center="random")
    x, z = jax.random.normal(jax.random.key(1), (2, 3, 8, 8, 2))
    degrade = cd.noisy(mask, STDS).bind(jax.random.key(2), x.shape).with_endpoint(z)
    t = jnp.array([1, 3, 4])
    found = degrade.estimate_endpoint(degrade(x, t), x, t)
    np.testing.assert_allclose(found, z, atol=2e-6)
    assert not degrade.estimate_endpoint(x, x, 0).any()


def test_the_walk_with_an_estimated_endpoint_ends_in_the_image():
    blur = cd.heat_blur(8, [0.5, 1.0, 1.5, 2.0])
    x = jax.random.normal(jax.random.key(3), (2, 8, 8, 1))
    degrade = cd.noisy(blur, STDS).bind(jax.random.key(4), x.shape)
    for sampler in (cd.sample_alg1, cd.sample_alg2):
        found = sampler(lambda x_t, t: x, degrade, degrade(x, T), endpoint="estimated")
        np.testing.assert_allclose(found.x_0, x, atol=1e-5)


def test_a_blend_with_images_has_two_endpoints_the_images_and_the_noise():
    a, b = [0.9, 0.6, 0.3, 0.0], [0.1, 0.4, 0.7, 1.0]
    degrade = cd.noisy(cd.blend(a, b, endpoint="image"), STDS)
    x, y, z = jax.random.normal(jax.random.key(0), (3, 2, 8, 8, 1))
    given = degrade.with_images(y).with_endpoint(z)
    t = jnp.array([2, 4])
    expected = np.stack([0.6 * x[0] + 0.4 * y[0] + 0.2 * z[0], y[1] + 0.5 * z[1]])
    np.testing.assert_allclose(given(x, t), expected, atol=1e-6)
    np.testing.assert_allclose(given.estimate_endpoint(given(x, t), x, t), z, atol=5e-6)
    drawn = given.bind(jax.random.key(1), x.shape)
    np.testing.assert_array_equal(drawn.degradation.endpoint, y)
    assert (np.asarray(drawn.endpoint) != z).all()


def test_the_noise_of_the_images_follows_from_the_key_of_bind():
    morph = cd.animorph([0.5, 0.1], endpoint_noise=0.3)
    y = jnp.zeros((2, 8, 8, 1))
    given = [
        cd.noisy(morph, [0.1, 0.2]).with_images(y, jax.random.key(seed))
        for seed in (3, 3, 4)
    ]
    first, again, other = (np.asarray(d.degradation.endpoint) for d in given)
    np.testing.assert_array_equal(first, again)
    assert (first != other).all() and abs(first.std() - 0.3) < 0.05


def test_images_without_a_blend_raise():
    degrade = cd.noisy(cd.fade([0.5]), [0.1])
    assert not degrade.takes_images
    with pytest.raises(TypeError, match=r"noisy\(fade\(T=1\)\) does not blend with im"):
        degrade.with_images(jnp.zeros((1, 8, 8, 1)))


def test_noise_may_fall_where_its_gain_falls_as_fast():
    stds, gains = [0.4, 0.5, 0.3, 0.0], [0.8, 0.5, 0.2, 0.0]
    assert cd.noisy(cd.fade(T * [0.5]), stds, gains=gains).num_steps == T
    with pytest.raises(ValueError, match=r"gains, got stds\[2\] = 0.3 after 0.5$"):
        cd.noisy(cd.fade(T * [0.5]), stds, gains=[0.8, 0.5, 0.4, 0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stds": [0.1]}, "stds must have one value per step .* 4, got 1"),
        ({"stds": STDS[::-1]}, "stds must not decrease"),
        ({"stds": STDS, "gains": 4 * [2.0]}, r"gains must be in \[0, 1\]"),
    ],
)
def test_invalid_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        cd.noisy(cd.fade(T * [0.5]), **arguments)


def test_only_degradations_are_wrapped_and_noise_must_be_drawn():
    with pytest.raises(TypeError, match="noisy takes degradations"):
        cd.noisy(jnp.sin, [0.1])
    with pytest.raises(ValueError, match="noise that has not been drawn yet"):
        cd.noisy(cd.fade([0.5]), [0.1])(jnp.zeros((1, 8, 8, 1)), 1)
