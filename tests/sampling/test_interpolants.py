"""Stochastic interpolants with coupled data, Albergo et al. (2023), by their formulas.

The paper has the data at time 1 and the coupled base y + s e at time 0; here, data have
tau = t / T = 0, and all velocities the opposite sign.
"""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import colddiff_jax as cd
from colddiff_jax import sampling, schedules
from colddiff_jax.models.preconditioning import velocity_scales
from colddiff_jax.prng import draw_normal_at, keys_per_example
from tests.sampling.oracles import SHAPE, check, key, single

T, NOISE = 5, 0.3
RNG = np.random.default_rng(0)


def images(n):
    return RNG.normal(size=(n, *SHAPE))


def interpolant(T=T):
    """x_t = (1 - tau) x_0 + tau (y + s e)."""
    tau = schedules.power(T, exponent=1)
    blend = cd.blend(1 - tau, tau, endpoint="image")
    return cd.noisy(blend, NOISE * tau, gains=1 - tau)


def first_step(x_t, v, y, *, t, s, eta, T=T):
    """Returns x_s for a network that says v, and the noise drawn, in float64."""
    degrade = interpolant(T)
    output = jnp.asarray(velocity_scales(degrade).output, jnp.float32)
    result = sampling.sample_ddim(
        lambda x, t: x + output[t - 1][:, None, None, None] * single(v),
        degrade.with_images(single(y)), single(x_t), key=key(), eta=eta,
        timesteps=[t, s, 0], return_trajectory=True,
    )  # fmt: skip
    noise = draw_normal_at(keys_per_example(key(), len(x_t)), 0, x_t.shape[1:])
    return np.asarray(result.trajectory[1], np.float64), np.asarray(noise, np.float64)


def test_marginals():
    """Of the interpolant, and of its two ends."""
    x_0, y, e = images(3)
    degrade = interpolant().with_images(single(y)).with_endpoint(single(e))
    for t in range(T + 1):
        tau = t / T
        check(degrade(single(x_0), t), (1 - tau) * x_0 + tau * (y + NOISE * e))


def test_the_velocity_is_the_time_derivative_of_the_interpolant():
    x_0, y, e = images(3)
    degrade = interpolant().with_images(single(y)).with_endpoint(single(e))
    v = y + NOISE * e - x_0
    for t in range(1, T + 1):
        x_t = np.asarray(degrade(single(x_0), t), np.float64)
        found = x_t + np.asarray(velocity_scales(degrade).output)[t - 1] * v
        np.testing.assert_allclose(found, x_0, atol=1e-6)


@pytest.mark.parametrize(("t", "s"), [(5, 4), (5, 2), (3, 1)])
def test_without_new_noise_a_step_is_eulers_method_for_the_probability_flow(t, s):
    """dX = v dtau, whatever the coupled image is."""
    x_t, v, y = images(3)
    found, _ = first_step(x_t, v, y, t=t, s=s, eta=0.0)
    check(found, x_t - (t - s) / T * v)


def score(x, v, y, tau):
    """grad log p(x | y), from v: the noise in the base is (x + (1 - tau) v - y) / s."""
    e_hat = (x + (1 - tau) * v - y) / NOISE
    return -e_hat / (NOISE * tau)


@pytest.mark.parametrize("eta", [0.2, 0.6, 1.0])
def test_with_new_noise_small_steps_are_those_of_the_stochastic_equation(eta):
    """Backwards, X - dtau (v - eps score) + sqrt(2 eps dtau) e, by Euler and Maruyama.

    eps = eta^2 s^2 tau / (1 - tau), one of the diffusions that leave the marginals.
    """
    x_t, v, y = images(3)
    errors = []
    for T in (100, 200, 400):
        t = T // 2
        found, e = first_step(x_t, v, y, t=t, s=t - 1, eta=eta, T=T)
        tau, dtau = t / T, 1 / T
        eps = eta**2 * NOISE**2 * tau / (1 - tau)
        drift = v - eps * score(x_t, v, y, tau)
        expected = x_t - dtau * drift + np.sqrt(2 * eps * dtau) * e
        errors.append(np.abs(found - expected).max() / np.sqrt(dtau))
    # The error of a step is O(dtau^1.5) in the noise and O(dtau^2) in the drift.
    assert errors[0] < 0.1
    assert errors[1] < 0.6 * errors[0] and errors[2] < 0.6 * errors[1]


@pytest.mark.parametrize(("t", "s"), [(4, 3), (4, 1), (3, 1)])
def test_ancestral_sampling_solves_the_stochastic_equation_of_a_prediction(t, s):
    """For x_0 and y held over the step, its law is the solution at s, of any length."""
    x_0, x_t, y = images(3)
    v = (x_t - x_0) / (t / T)
    found, e = first_step(x_t, v, y, t=t, s=s, eta=1.0)

    def backwards(time, values):
        tau, x, var = t / T - time, values[:-1].reshape(SHAPE), values[-1]
        now = (x - x_0) / tau  # The velocity that points to the same x_0.
        eps = NOISE**2 * tau / (1 - tau)
        drift = now - eps * score(x, now, y, tau)
        slope = 1 / tau + eps / (NOISE * tau) ** 2  # Of the drift in x.
        return np.append((-drift).ravel(), 2 * eps - 2 * slope * var)

    solution = scipy.integrate.solve_ivp(
        backwards, (0, (t - s) / T), np.append(x_t.ravel(), 0.0), rtol=1e-10, atol=1e-12
    )
    mean, var = solution.y[:-1, -1].reshape(SHAPE), solution.y[-1, -1]
    check(found, mean + np.sqrt(var) * e)


def test_the_first_step_draws_all_of_the_noise_anew():
    """Nothing of x_0 is in x_T, where the diffusion has no bound."""
    x_0, y = images(2)
    found, e = first_step(x_0 + 1.0, np.ones(SHAPE), y, t=T, s=2, eta=1.0)
    check(found, 0.6 * x_0 + 0.4 * (y + NOISE * e))
