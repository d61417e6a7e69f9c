"""Restarts: going back up to a more degraded image, and down again."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import Restart
from tests.sampling.samplers import T, toy_restorer

DOWN = [8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("timesteps", "restart", "visited"),
    [
        (None, Restart(low=3, high=5), [8, 7, 6, 5, 4, 3, 5, 4, 3, 2, 1, 0]),
        ([8, 4, 2, 0], Restart(2, 8, times=2), [8, 4, 2, 8, 4, 2, 8, 4, 2, 0]),
    ],
)
def test_the_steps_from_high_to_low_are_repeated(
    blur, photos, timesteps, restart, visited
):
    x_t = blur(photos, 8)
    result = cd.sample_alg2(
        toy_restorer,
        blur,
        x_t,
        timesteps=timesteps,
        restart=restart,
        return_trajectory=True,
    )
    images = [x_t]
    for t, s in itertools.pairwise(visited):
        x0_hat = toy_restorer(x_t, jnp.full(4, t))
        x_t = blur(x0_hat, s) if s > t else x_t - blur(x0_hat, t) + blur(x0_hat, s)
        images.append(x_t)
    np.testing.assert_allclose(result.trajectory, jnp.stack(images), atol=2e-6)
    np.testing.assert_array_equal(result.trajectory[-1], result.x_0)


def test_a_perfect_restorer_returns_the_clean_image(sampler, degrade, photos):
    result = sampler(
        lambda x_t, t: jnp.asarray(photos),
        degrade,
        degrade(photos, 8),
        restart=Restart(low=2, high=8, times=2),
    )
    np.testing.assert_allclose(result.x_0, photos, atol=3e-6, rtol=0)


def test_a_restart_discards_the_errors_made_above_it(blur, photos):
    # The restorer is wrong on the first pass only.
    def restore_fn(x_t, t):
        exact = (jnp.abs(x_t - blur(photos, t)) < 1e-4).all(axis=(1, 2, 3))
        right = (t <= 3) | exact
        return jnp.where(right[:, None, None, None], photos, 0.5)

    x_T = blur(photos, 8) + 0.1
    wrong = cd.sample_alg2(restore_fn, blur, x_T)
    corrected = cd.sample_alg2(restore_fn, blur, x_T, restart=Restart(3, 8))
    assert np.abs(wrong.x_0 - photos).min(axis=(1, 2, 3)).max() > 0.01
    np.testing.assert_allclose(corrected.x_0, photos, atol=1e-5)


def test_adams_bashforth_starts_over_after_a_restart(blur, photos):
    x_t = blur(photos, 8)
    timesteps = [8, 5, 2, 0]
    result = cd.sample_ab2(
        toy_restorer, blur, x_t, timesteps=timesteps, restart=Restart(2, 5)
    )
    previous = None
    for t, s in itertools.pairwise([8, 5, 2, 5, 2, 0]):
        x0_hat = toy_restorer(x_t, jnp.full(4, t))
        if s > t:
            x_t, previous = blur(x0_hat, s), None
            continue
        ahead = x0_hat
        if previous is not None:
            ahead = x0_hat + (t - s) / (previous[1] - t) / 2 * (x0_hat - previous[0])
        x_t, previous = x_t - blur(ahead, t) + blur(ahead, s), (x0_hat, t)
    np.testing.assert_allclose(result.x_0, x_t, atol=3e-6)


def test_ddim_adds_noise_up_to_the_level_of_the_higher_step():
    # From x_low ~ N(a x, b^2) to x_high ~ N(a x, b^2), each with its own a and b.
    noise = cd.gaussian_noise(cd.schedules.cosine(T))
    x = jnp.full((64, 16, 16, 1), 0.3)
    bound = noise.bind(jax.random.key(0), x.shape)
    trajectory = cd.sample_ddim(
        lambda x_t, t: x,
        noise,
        bound(x, T),
        key=jax.random.key(1),
        timesteps=[8, 6, 2, 0],
        restart=Restart(2, 6),
        return_trajectory=True,
    ).trajectory
    a, b = noise.image_weights[6], noise.endpoint_weights[6]
    for x_6 in (trajectory[1], trajectory[3]):
        np.testing.assert_allclose(x_6.mean(), 0.3 * a, atol=0.03)
        np.testing.assert_allclose(x_6.std(), b, rtol=0.03)
    scale = a / noise.image_weights[2]
    added = trajectory[3] - scale * trajectory[2]
    correlation = np.corrcoef(added.ravel(), trajectory[2].ravel())[0, 1]
    assert abs(correlation) < 0.02
    expected = np.sqrt(b**2 - (scale * noise.endpoint_weights[2]) ** 2)
    np.testing.assert_allclose(added.std(), expected, rtol=0.02)


def test_momentum_returns_to_the_noise_level_of_the_higher_step(blur, photos):
    stds = np.linspace(0.1, 0.8, T)
    x = jnp.asarray(photos)
    trajectory = cd.sample_momentum(
        lambda x_t, t: x,
        blur,
        blur(x, T),
        key=jax.random.key(0),
        noise_stds=stds,
        timesteps=[8, 6, 2, 0],
        restart=Restart(2, 6),
        return_trajectory=True,
    ).trajectory
    np.testing.assert_allclose(np.std(trajectory[3] - blur(x, 6)), stds[5], rtol=0.04)


def test_a_restart_keeps_the_trajectory_one_scan(sampler, degrade, photos):
    def run(x):
        return sampler(toy_restorer, degrade, x, restart=Restart(2, 5)).x_0

    program = jax.make_jaxpr(run)(photos)
    assert sum(e.primitive.name == "scan" for e in program.eqns) == 1
    np.testing.assert_allclose(jax.jit(run)(photos), run(photos), atol=3e-6)


@pytest.mark.parametrize(
    ("timesteps", "restart", "message"),
    [
        (DOWN, Restart(5, 3), "low < high, both among the timesteps .* low=5, high=3"),
        (DOWN, Restart(0, 3), "above 0; got low=0, high=3"),
        (DOWN, Restart(3, 9), "got low=3, high=9"),
        ([8, 4, 0], Restart(3, 8), r"low=3, high=8 for timesteps \[8, 4, 0\]"),
        (DOWN, Restart(3, 5, 0), "restart.times must be a positive integer, got 0"),
    ],
)
def test_bad_restarts_raise(blur, photos, timesteps, restart, message):
    with pytest.raises(ValueError, match=message):
        cd.sample_alg2(toy_restorer, blur, photos, timesteps=timesteps, restart=restart)


def test_a_plain_tuple_as_restart_raises(blur, photos):
    with pytest.raises(TypeError, match=r"must be a sampling.Restart, got \(2, 5\)"):
        cd.sample_alg2(toy_restorer, blur, photos, restart=(2, 5))


def test_a_restart_with_traced_timesteps_raises(blur, photos):
    def run(steps):
        return cd.sample_alg2(
            toy_restorer, blur, photos, timesteps=steps, restart=Restart(2, 5)
        ).x_0

    with pytest.raises(TypeError, match="a restart needs concrete timesteps, got tr"):
        jax.jit(run)(jnp.array(DOWN))
