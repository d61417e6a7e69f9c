"""What a restorer is trained to predict."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.degradations.targets import target_images, without_noise

T = 4
X = jax.random.normal(jax.random.key(0), (5, 16, 16, 1))
STEPS = jnp.array([1, 2, 3, 4, 4])
MASK = cd.gaussian_mask(16, T * [3.0], center="random")


def bound(degrade):
    return degrade.bind(jax.random.key(1), X.shape)


def test_the_clean_target_is_the_image_itself():
    assert target_images(MASK, X, STEPS, "clean") is X


def test_the_previous_target_is_one_step_less_degraded_by_the_same_draws():
    mask = bound(MASK)
    found = target_images(mask, X, STEPS, "previous")
    for i, t in enumerate(STEPS):
        np.testing.assert_allclose(found[i], mask(X, t - 1)[i], atol=1e-7)
    np.testing.assert_array_equal(found[0], X[0])  # D(x_0, 0), bit for bit.


def test_the_previous_target_of_a_noisy_degradation_has_no_noise():
    noisy = bound(cd.noisy(MASK, [0.1, 0.2, 0.3, 0.4]))
    found = target_images(noisy, X, STEPS, "previous")
    np.testing.assert_array_equal(found, noisy.degradation(X, STEPS - 1))
    assert np.abs(noisy(X, STEPS - 1) - found)[1:].max() > 0.1


@pytest.mark.parametrize("t", [0, 2, T])
def test_without_noise_gaussian_noise_only_fades(t):
    alphas = np.asarray(cd.schedules.cosine(T))
    expected = np.sqrt(alphas[t - 1]) * X if t else X
    found = without_noise(bound(cd.gaussian_noise(alphas)))(X, t)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_other_degradations_have_no_noise_to_leave_out():
    morph = cd.animorph(cd.schedules.cosine(T)).with_endpoint(X[::-1])
    for degrade in (MASK, morph):
        assert without_noise(degrade) is degrade
