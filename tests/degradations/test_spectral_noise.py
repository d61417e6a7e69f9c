"""blur_and_noise: blur that fades into noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import schedules

T = 4
WIDTHS, ALPHAS = [0.5, 1.0, 2.0, 4.0], [0.9, 0.6, 0.3, 0.05]


def draw(n, shape=(3, 8, 12, 2)):
    return (jax.random.normal(jax.random.key(i), shape) for i in range(n))


def test_it_is_a_heat_blur_that_fades_and_gains_noise():
    x, z = draw(2)
    degrade = cd.blur_and_noise((8, 12), WIDTHS, ALPHAS, min_gain=0.0).with_endpoint(z)
    blur = cd.heat_blur((8, 12), WIDTHS)
    for t in range(1, T + 1):
        a = ALPHAS[t - 1]
        expected = np.sqrt(a) * blur(x, t) + np.sqrt(1 - a) * z
        np.testing.assert_allclose(degrade(x, t), expected, atol=1e-6)


def test_every_frequency_keeps_the_least_gain():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    degrade = cd.blur_and_noise(8, T * [100.0], T * [1.0], min_gain=0.25)
    found = degrade.bind(jax.random.key(1), x.shape)(x, T)
    mean = x.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, mean + 0.25 * (x - mean), atol=1e-6)


def test_the_modes_are_orthonormal_and_alpha_multiplies_them():
    x, z = draw(2)
    degrade = cd.blur_and_noise((8, 12), WIDTHS, ALPHAS)
    modes = degrade.to_modes(x)
    np.testing.assert_allclose(degrade.from_modes(modes), x, atol=1e-6)
    np.testing.assert_allclose((modes**2).sum(), (x**2).sum(), rtol=1e-5)
    t = jnp.array([1, 3, 4])
    alpha, sigma = degrade.levels(t)
    expected = degrade.from_modes(alpha * modes) + sigma[:, None, None, None] * z
    np.testing.assert_allclose(degrade.with_endpoint(z)(x, t), expected, atol=1e-6)


def test_the_noise_is_recovered_from_the_image():
    x, z = draw(2)
    degrade = cd.blur_and_noise((8, 12), WIDTHS, ALPHAS).with_endpoint(z)
    t = jnp.array([1, 3, 4])
    found = degrade.estimate_endpoint(degrade(x, t), x, t)
    np.testing.assert_allclose(found, z, atol=1e-5)
    assert not degrade.estimate_endpoint(x, x, 0).any()


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_walk_of_a_perfect_restorer_ends_in_the_image(eta):
    x, z = draw(2)
    degrade = cd.blur_and_noise((8, 12), WIDTHS, ALPHAS).with_endpoint(z)
    x_T, key = degrade(x, T), jax.random.key(5)
    found = cd.sample_ddim(lambda x_t, t: x, degrade, x_T, key=key, eta=eta)
    np.testing.assert_allclose(found.x_0, x, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphas_cumprod": ALPHAS[::-1]}, "alphas_cumprod must not increase"),
        ({"alphas_cumprod": [0.5]}, "must both have one value per step, got 4 and 1"),
        ({"blur_sigmas": T * [0.0]}, "blur_sigmas must be positive"),
        ({"min_gain": 2.0}, r"min_gain must lie in 0\.\.1, got 2"),
    ],
)
def test_invalid_arguments_raise(arguments, message):
    valid = {"blur_sigmas": WIDTHS, "alphas_cumprod": ALPHAS}
    with pytest.raises(ValueError, match=message):
        cd.blur_and_noise(8, **(valid | arguments))


def test_a_restart_adds_noise_to_every_frequency():
    """x_high given x_low of a blend, alpha_high / alpha_low x_low + noise, per mode."""
    x = jnp.full((500, 8, 8, 1), 0.3)
    degrade = cd.blur_and_noise(8, WIDTHS, schedules.cosine(T))
    bound = degrade.bind(jax.random.key(0), x.shape)
    result = cd.sample_ddim(
        lambda x_t, t: x, bound, bound(x, T), key=jax.random.key(1), eta=1.0,
        restart=cd.sampling.Restart(1, 3), return_trajectory=True,
    )  # fmt: skip
    alpha, sigma = degrade.levels(3)
    visited = [4, 3, 2, 1, 3, 2, 1, 0]
    modes = degrade.to_modes(result.trajectory[visited.index(3, 2)])
    expected = alpha[0] * degrade.to_modes(x)[0]
    assert np.abs(modes.mean(axis=0) - expected).max() < 5 * sigma / np.sqrt(500)
    assert np.abs(modes.std(axis=0) / sigma - 1).max() < 0.15
