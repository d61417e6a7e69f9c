"""Restorers whose predictions agree with what they are made from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

import colddiff_jax as cd
from colddiff_jax.sampling import EIGHT_BITS, consistent, data_consistency
from colddiff_jax.sampling.consistency import trained_consistent
from tests.sampling.test_consistency import CHANNELS, LINEAR, SIZE, bound, pair

__all__ = ["pair"]  # A fixture.


def inconsistent(x, t):
    """A restorer that ignores what x already says."""
    return jnp.tanh(0.3 * x[:, ::-1] + 0.1 * t[:, None, None, None])


@pytest.mark.parametrize("name", LINEAR)
def test_the_correction_is_the_ridge_solution(name, pair):
    x_t = pair[0][:1]
    degrade = bound(LINEAR[name], 1)
    jacobian = jax.jacobian(lambda x: degrade(x.reshape(x_t.shape), 3).ravel())
    A = np.asarray(jacobian(x_t.ravel()), np.float64)
    found = consistent(inconsistent, degrade, noise=0.02, error=0.1)
    t = jnp.array([3])
    x0_hat = inconsistent(x_t, t)
    residual = np.asarray(x_t - degrade(x0_hat, 3), np.float64).ravel()
    ridge = np.linalg.solve(A.T @ A + 0.04 * np.eye(len(A)), A.T @ residual)
    np.testing.assert_allclose(found(x_t, t).ravel(), x0_hat.ravel() + ridge, atol=2e-5)


@pytest.mark.parametrize("name", LINEAR)
def test_predictions_agree_with_an_exact_observation(name, pair):
    degrade = bound(LINEAR[name], 2)
    for t in (1, 3):
        x_t = degrade(pair[0], t)
        x0_hat = consistent(inconsistent, degrade)(x_t, jnp.full(2, t))
        assert data_consistency(x0_hat, degrade, x_t, t=t).max() < 2e-4


def test_where_the_image_says_everything_the_network_says_nothing(pair):
    degrade = LINEAR["heat blur"]
    restored = cd.sample_alg2(
        consistent(inconsistent, degrade), degrade, degrade(pair[0], 3)
    ).x_0
    np.testing.assert_allclose(restored, pair[0], atol=2e-3)
    plain = cd.sample_alg2(inconsistent, degrade, degrade(pair[0], 3)).x_0
    assert np.abs(plain - pair[0]).max() > 0.3


def test_the_weight_follows_the_noise(pair):
    # With 8 bits, lost components come from the network, and noise is not amplified.
    degrade = cd.heat_blur(SIZE, [0.5, 1.0, 4.0])
    exact = degrade(pair[0], 3)
    rounded = cd.to_float(cd.to_uint8(exact))
    t = jnp.full(2, 3)
    errors = {}
    for noise in (1e-6, EIGHT_BITS):
        restore_fn = consistent(inconsistent, degrade, noise=noise)
        difference = restore_fn(rounded, t) - restore_fn(exact, t)
        errors[noise] = float(jnp.abs(difference).max())
    assert errors[EIGHT_BITS] < 0.1 < errors[1e-6]


def test_a_trained_network_takes_the_wiener_estimate_of_a_spectrum_of_photographs():
    height, width, noise, sigma = 12, 20, 0.03, 1.5
    degrade = cd.heat_blur((height, width), [0.5, sigma])
    x_t = np.random.default_rng(0).uniform(-1, 1, (2, height, width, 1))
    restored = trained_consistent(inconsistent, degrade, noise)
    modes = scipy.fft.dctn(x_t, axes=(1, 2), norm="ortho")
    rows, columns = np.pi * np.arange(height) / height, np.pi * np.arange(width) / width
    f2 = (rows[:, None] ** 2 + columns**2)[..., None]
    gain = np.exp(-f2 * sigma**2 / 2)
    modes *= gain / (gain**2 + noise**2 * f2 / 0.2**2)
    expected = scipy.fft.idctn(modes, axes=(1, 2), norm="ortho")
    given = restored.given(jnp.asarray(x_t, jnp.float32), jnp.full(2, 2))
    np.testing.assert_allclose(given, expected, atol=1e-4)


def test_the_noise_of_each_image_counts_in_the_estimate_a_network_takes(pair):
    degrade = cd.heat_blur(SIZE, [1.0]).with_factors()
    t = jnp.ones(2, jnp.int32)
    noises = jnp.array([0.01, 0.1])
    found = trained_consistent(inconsistent, degrade, noises)
    for i, noise in enumerate(noises):
        alone = trained_consistent(inconsistent, degrade, noise)
        np.testing.assert_allclose(
            found.given(pair[0], t)[i], alone.given(pair[0], t)[i], atol=1e-5
        )


def test_it_crosses_jit_as_an_argument_and_compiles_once(pair):
    restore_fn = jax.tree_util.Partial(
        lambda a, x, t: a * inconsistent(x, t), jnp.float32(1)
    )
    traced = []

    @jax.jit
    def run(restore_fn, degrade, x_T):
        traced.append(1)
        return cd.sample_alg2(restore_fn, degrade, x_T).x_0

    for noise in (1e-5, 1e-3):
        degrade = LINEAR["circular blur"]
        run(consistent(restore_fn, degrade, noise=noise), degrade, pair[0])
    assert len(traced) == 1


def test_factors_computed_once_give_the_same_pseudo_inverse(pair):
    for name in ("reflected blur", "anisotropic pixelation"):
        degrade, t = LINEAR[name], jnp.array([1, 3])
        y = pair[0]
        np.testing.assert_allclose(
            degrade.with_factors().pseudo_inverse(y, t, cutoff=0.01),
            degrade.pseudo_inverse(y, t, cutoff=0.01),
            atol=2e-4,
        )


def test_wrong_arguments_raise(pair):
    snow = cd.snow(SIZE, 3).bind(jax.random.key(0), (2, SIZE, SIZE, CHANNELS))
    with pytest.raises(TypeError, match=r"need a degradation with .* got Snow"):
        consistent(inconsistent, snow)
    for options in ({"noise": 0.0}, {"error": -1.0}):
        with pytest.raises(ValueError, match="must be positive, got"):
            consistent(inconsistent, LINEAR["heat blur"], **options)
