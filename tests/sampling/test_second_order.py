"""Heun's method and the Adams-Bashforth method along the degradation."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import (
    sample_ab2,
    sample_alg1,
    sample_alg2,
    sample_heun,
    schedules,
)


@pytest.fixture
def degrade(photos):
    return cd.gaussian_blur(32, 8 * [1.0], kernel_size=5)


def restorer(x_t, t):
    step = t.astype(jnp.float32)[:, None, None, None]
    return 0.7 * x_t + 0.1 * jnp.sin(3 * x_t + step)


@pytest.mark.parametrize("timesteps", [[8, 7, 6, 5, 4, 3, 2, 1, 0], [8, 5, 1, 0]])
def test_heun_averages_the_predictions_at_both_ends(degrade, photos, timesteps):
    x_t = degrade(photos, 8)
    result = sample_heun(restorer, degrade, x_t, timesteps=timesteps)
    for t, s in itertools.pairwise(timesteps):
        x0_hat = restorer(x_t, jnp.full(4, t))
        if s > 0:
            x_s = x_t - degrade(x0_hat, t) + degrade(x0_hat, s)
            x0_hat = (x0_hat + restorer(x_s, jnp.full(4, s))) / 2
        x_t = x_t - degrade(x0_hat, t) + degrade(x0_hat, s)
    np.testing.assert_allclose(result.x_0, x_t, atol=3e-6)


@pytest.mark.parametrize("timesteps", [[8, 7, 6, 5, 4, 3, 2, 1, 0], [8, 5, 1, 0]])
def test_ab2_extrapolates_the_predictions_linearly(degrade, photos, timesteps):
    x_t, previous = degrade(photos, 8), None
    result = sample_ab2(restorer, degrade, x_t, timesteps=timesteps)
    for i, (t, s) in enumerate(itertools.pairwise(timesteps)):
        x0_hat = restorer(x_t, jnp.full(4, t))
        ahead = x0_hat
        if i > 0:
            middle = (t + s) / 2
            slope = (x0_hat - previous) / (t - timesteps[i - 1])
            ahead = x0_hat + slope * (middle - t)
        x_t, previous = x_t - degrade(ahead, t) + degrade(ahead, s), x0_hat
    np.testing.assert_allclose(result.x_0, x_t, atol=3e-6)


@pytest.mark.parametrize(
    ("sampler", "order"), [(sample_alg2, 1), (sample_heun, 2), (sample_ab2, 2)]
)
def test_the_order_of_accuracy(sampler, order):
    # dx = da c x with a = k_t: x_0 = x_T exp(c (a_0 - a_T)).
    T, c = 960, 1.5
    angle = np.arange(1, T + 1) / T
    degrade = cd.fade(np.cos(1.2 * angle))
    x_T = jnp.full((1, 2, 2, 1), 0.4)
    exact = 0.4 * np.exp(c * (1 - np.cos(1.2)))
    run = jax.jit(lambda x, steps: sampler(lambda x, t: c * x, degrade, x,
                                           timesteps=steps).x_0)  # fmt: skip
    errors = []
    for num_calls in (8, 16, 32):
        steps = jnp.arange(T, -1, -(T // num_calls), dtype=jnp.int32)
        errors.append(abs(float(run(x_T, steps)[0, 0, 0, 0]) - exact))
    orders = np.log2(np.asarray(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, order, atol=0.35)


@pytest.mark.parametrize("kind", ["image", "noise", "color"])
@pytest.mark.parametrize(
    ("sampler", "order"),
    [(sample_alg1, 1), (sample_alg2, 1), (sample_heun, 2), (sample_ab2, 2)],
)
def test_the_order_of_accuracy_with_an_estimated_endpoint(sampler, order, kind):
    # For x_0 ~ N(m, v) and noise, the exact restorer moves x_t along its quantile:
    # (x_t - a_t m) / std_t stays the same, with std_t^2 = a_t^2 v + b_t^2.
    T, m, v = 960, 0.3, 0.25
    weights = np.cos(1.4 * np.arange(T + 1) / T)
    degrade = {
        "image": lambda: cd.animorph(weights[1:] ** 2),
        "noise": lambda: cd.gaussian_noise(weights[1:] ** 2),
        "color": lambda: dataclasses.replace(
            cd.gaussian_noise(weights[1:] ** 2), endpoint_kind="color"
        ),
    }[kind]()
    a = jnp.asarray(weights, jnp.float32)
    variance = a**2 * v + (1 - a**2)

    def posterior_mean(x_t, t):
        at, var = (values[t][:, None, None, None] for values in (a, variance))
        return m + at * v / var * (x_t - at * m)

    x_T = jnp.full((1, 1, 1, 1), 0.8)
    exact = m + np.sqrt(v / variance[T]) * (0.8 - a[T] * m)
    run = jax.jit(
        lambda x, steps: (
            sampler(
                posterior_mean, degrade, x, timesteps=steps, endpoint="estimated"
            ).x_0
        )
    )
    errors = []
    for num_calls in (8, 16, 32):
        steps = jnp.arange(T, -1, -(T // num_calls), dtype=jnp.int32)
        errors.append(abs(float(run(x_T, steps)[0, 0, 0, 0]) - float(exact)))
    orders = np.log2(np.asarray(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, order, atol=0.35)


def test_heun_calls_the_network_twice_per_step_except_the_last():
    calls = []

    def counting(x_t, t):
        jax.debug.callback(lambda t: calls.append(int(t[0])), t)
        return x_t

    degrade = cd.fade(schedules.linear_decay(8))
    sample_heun(counting, degrade, jnp.ones((1, 2, 2, 1)), timesteps=[8, 4, 2, 0])
    jax.effects_barrier()
    assert sorted(calls) == [2, 2, 4, 4, 8]
