"""The sampler of inverse heat dissipation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import sampling

T = 6
STDS = np.linspace(0.1, 0.6, T)
BLUR = cd.heat_blur(16, np.linspace(0.5, 4.0, T))
NOISY = cd.noisy(BLUR, STDS)
X = jax.random.normal(jax.random.key(0), (64, 16, 16, 1)) / 2
X_T = NOISY.bind(jax.random.key(1), X.shape)(X, T)


def oracle(x_t, t):
    """R that knows x_0: the mean of D(x_0, t - 1)."""
    return BLUR(X[: len(x_t)], t - 1)


def shrink(x_t, t):
    return 0.9 * x_t + 0.01 * t[:, None, None, None]


def sample(restore_fn=oracle, degrade=NOISY, x_T=X_T, seed=2, **options):
    return cd.sample_ihd(restore_fn, degrade, x_T, key=jax.random.key(seed), **options)


@pytest.mark.parametrize("noise_ratio", [0.0, 1.0, 1.3])
def test_a_perfect_restorer_gives_the_image_back_exactly(noise_ratio):
    np.testing.assert_array_equal(sample(noise_ratio=noise_ratio).x_0, X)


@pytest.mark.parametrize("noise_ratio", [0.0, 0.5, 1.3])
def test_every_step_but_the_last_has_the_noise_of_the_equation(noise_ratio):
    """x_{t-1} = R(x_t, t) + k sigma_{t-1} e."""
    trajectory = sample(noise_ratio=noise_ratio, return_trajectory=True).trajectory
    assert len(trajectory) == T + 1
    drawn = []
    for t in range(T, 1, -1):
        noise = np.asarray(trajectory[T - t + 1] - BLUR(X, t - 1))
        std = noise_ratio * STDS[t - 2]
        assert abs(noise.mean()) <= 0.03 * std
        np.testing.assert_allclose(noise.std(), std, rtol=0.02, atol=1e-7)
        drawn.append(noise.ravel())
    if noise_ratio:  # Independent from step to step, and from pixel to pixel.
        correlations = np.corrcoef(drawn) - np.eye(T - 1)
        assert np.abs(correlations).max() < 0.04


def test_without_noise_the_predictions_follow_each_other():
    x_t = X_T
    for t in range(T, 0, -1):
        x_t = shrink(x_t, jnp.full(len(x_t), t))
    for found in (sample(shrink, noise_ratio=0.0), sample(shrink, BLUR)):
        np.testing.assert_allclose(found.x_0, x_t, atol=1e-5)
        direct = shrink(X_T, jnp.full(len(X), T))
        np.testing.assert_allclose(found.direct, direct, atol=1e-6)


def test_the_noise_follows_the_published_ratio_by_default():
    expected = sample(shrink, noise_ratio=1.3)
    np.testing.assert_array_equal(sample(shrink).x_0, expected.x_0)


def test_an_image_depends_on_its_key_and_not_on_its_batch():
    keys = jax.random.split(jax.random.key(3), len(X))
    whole = cd.sample_ihd(shrink, NOISY, X_T, key=keys).x_0
    part = cd.sample_ihd(shrink, NOISY, X_T[5:8], key=keys[5:8]).x_0
    np.testing.assert_allclose(part, whole[5:8], atol=1e-6)
    same = cd.sample_ihd(shrink, NOISY, X_T[:1].repeat(2, 0), key=keys[:2]).x_0
    assert np.abs(same[0] - same[1]).max() > 0.1
    np.testing.assert_array_equal(sample(shrink).x_0, sample(shrink).x_0)
    assert np.abs(sample(shrink).x_0 - sample(shrink, seed=4).x_0).max() > 0.1


def test_a_partly_degraded_image_starts_at_its_step():
    seen = []

    def recorded(x_t, t):
        jax.debug.callback(lambda t: seen.append(int(t)), t[0], ordered=True)
        return oracle(x_t, t)

    for options in (
        {"start": 4},
        {"start": 4, "timesteps": 4},
        {"timesteps": [4, 3, 2, 1, 0]},
    ):
        seen.clear()
        result = sample(recorded, **options, return_trajectory=True)
        jax.effects_barrier()
        assert seen == [4, 3, 2, 1] and len(result.trajectory) == 5
        np.testing.assert_array_equal(result.x_0, X)


def test_it_runs_in_one_compiled_program():
    def run(restore_fn, degrade, x_T, key, noise_ratio):
        return cd.sample_ihd(
            restore_fn,
            degrade,
            x_T,
            key=key,
            noise_ratio=noise_ratio,
            check_finite=True,
        )

    restore_fn = jax.tree_util.Partial(shrink)
    found = jax.jit(run)(restore_fn, NOISY, X_T, jax.random.key(2), 0.7)
    found.raise_if_not_finite()
    expected = sample(shrink, noise_ratio=0.7).x_0
    np.testing.assert_allclose(found.x_0, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timesteps": 3}, "takes every step, .* leave timesteps out, got 3$"),
        ({"timesteps": [6, 3, 0]}, r"takes every step, .* got \[6, 3, 0\]$"),
        ({"timesteps": 2, "start": 3}, "takes every step, .* got 2$"),
        ({"timesteps": 7}, r"timesteps must be an integer in 1\.\.6, got 7"),
        ({"start": 7}, r"start must be an integer in 1\.\.6, got 7"),
        ({"restart": sampling.Restart(2, 4)}, "cannot restart, .* got Restart"),
        ({"noise_ratio": -0.1}, "noise_ratio must not be negative, got -0.1"),
        ({"noise_ratio": np.nan}, "noise_ratio must be a finite number, got nan"),
    ],
)
def test_options_that_do_not_fit_raise(options, message):
    with pytest.raises(ValueError, match=message) as raised:
        sample(**options)
    assert "\n" not in str(raised.value)


def test_steps_that_are_not_known_before_it_runs_raise():
    with pytest.raises(ValueError, match="takes every step"):
        jax.jit(lambda steps: sample(timesteps=steps).x_0)(jnp.arange(T, -1, -1))
    with pytest.raises(TypeError, match="key must be a jax"):
        cd.sample_ihd(oracle, NOISY, X_T, key=None)
