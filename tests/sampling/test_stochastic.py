"""DDIM and the momentum sampler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import (
    sample_alg1,
    sample_alg2,
    sample_ddim,
    sample_momentum,
    sampling,
)

T = 8


@pytest.fixture
def noise():
    return cd.gaussian_noise(cd.schedules.cosine(T))


def restorer(x_t, t):
    return jnp.tanh(x_t) * 0.5 + 0.02 * t.astype(jnp.float32)[:, None, None, None]


@pytest.mark.parametrize("timesteps", [None, [8, 5, 1, 0]])
def test_ddim_without_new_noise_is_both_algorithms_with_an_estimated_endpoint(
    noise, photos, timesteps
):
    x_T = jax.random.normal(jax.random.key(0), photos.shape)
    ddim = sample_ddim(restorer, noise, x_T, key=jax.random.key(1), timesteps=timesteps)
    for sampler in (sample_alg1, sample_alg2):
        other = sampler(restorer, noise, x_T, timesteps=timesteps, endpoint="estimated")
        np.testing.assert_allclose(ddim.x_0, other.x_0, atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_keeps_the_distribution_of_every_step(noise, eta):
    # With a perfect restorer, x_t ~ N(a_t x, b_t^2) at every step.
    x = jnp.full((64, 16, 16, 1), 0.3)
    bound = noise.bind(jax.random.key(0), x.shape)
    result = sample_ddim(
        lambda x_t, t: x,
        noise,
        bound(x, T),
        key=jax.random.key(1),
        eta=eta,
        return_trajectory=True,
    )
    for t, x_t in zip(range(T, 0, -1), result.trajectory, strict=False):
        a, b = noise.image_weights[t], noise.endpoint_weights[t]
        np.testing.assert_allclose(x_t.mean(), 0.3 * a, atol=0.03)
        np.testing.assert_allclose(x_t.std(), b, rtol=0.03)
    correlation = np.corrcoef(
        (result.trajectory[0] - 0.3 * noise.image_weights[T]).ravel(),
        (result.trajectory[-2] - 0.3 * noise.image_weights[1]).ravel(),
    )[0, 1]
    assert (correlation > 0.999) if eta == 0 else (correlation < 0.9)


def test_ancestral_ddim_is_the_posterior_of_ddpm(noise):
    # q(x_s | x_t, x) has mean A x + B x_t and variance beta~; one step with eta = 1.
    t, s = 6, 5
    alpha = np.asarray(noise.image_weights, np.float64) ** 2
    beta = 1 - alpha[t] / alpha[s]
    x, x_t = 0.3, -0.8
    mean = np.sqrt(alpha[s]) * beta / (1 - alpha[t]) * x
    mean += np.sqrt(alpha[t] / alpha[s]) * (1 - alpha[s]) / (1 - alpha[t]) * x_t
    variance = (1 - alpha[s]) / (1 - alpha[t]) * beta
    images = jnp.full((64, 32, 32, 1), x_t)
    result = sample_ddim(
        lambda images, t: jnp.full_like(images, x),
        noise,
        images,
        key=jax.random.key(0),
        eta=1.0,
        timesteps=[t, s, 0],
        return_trajectory=True,
    )
    np.testing.assert_allclose(result.trajectory[1].mean(), mean, atol=0.01)
    np.testing.assert_allclose(result.trajectory[1].var(), variance, rtol=0.02)


def test_momentum_without_noise_is_algorithm_2(photos):
    blur = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    x_T = blur(photos, T)
    momentum = sample_momentum(
        restorer, blur, x_T, key=jax.random.key(0), noise_stds=T * [0.0]
    )
    np.testing.assert_allclose(
        momentum.x_0, sample_alg2(restorer, blur, x_T).x_0, atol=1e-6
    )


def test_momentum_keeps_the_noise_level_of_every_step(photos):
    blur = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    stds = np.linspace(0.1, 0.8, T)
    x = jnp.asarray(photos)
    x_T = blur(x, T) + 0.8 * jax.random.normal(jax.random.key(1), x.shape)
    for timesteps in ([*range(T, -1, -1)], [8, 4, 1, 0]):
        result = sample_momentum(
            lambda x_t, t: x, blur, x_T, key=jax.random.key(0), noise_stds=stds,
            timesteps=timesteps, return_trajectory=True,
        )  # fmt: skip
        for t, x_t in zip(timesteps[:-1], result.trajectory, strict=False):
            np.testing.assert_allclose(np.std(x_t - blur(x, t)), stds[t - 1], rtol=0.04)


def test_momentum_follows_its_equation(photos):
    blur = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    stds = np.linspace(0.1, 0.4, T)
    x_t = jnp.asarray(photos)
    x0_hat = restorer(x_t, jnp.full(4, 6))
    x_s = sample_momentum(
        restorer, blur, x_t, key=jax.random.key(0), noise_stds=stds,
        timesteps=[6, 4, 0], return_trajectory=True,
    ).trajectory[1]  # fmt: skip
    q = stds[3] ** 2 / stds[5] ** 2
    mean = x_t - blur(x0_hat, 6) + blur(x0_hat, 4) + (1 - q) * (blur(x0_hat, 6) - x_t)
    e = np.asarray(x_s - mean) / (stds[3] * np.sqrt(1 - q))
    np.testing.assert_allclose([e.mean(), e.std()], [0, 1], atol=0.03)


def test_the_result_is_a_pure_function_of_the_key(noise, photos):
    blur = cd.gaussian_blur(32, T * [1.0], kernel_size=5)

    def ddim(seed):
        key = jax.random.key(seed)
        return sample_ddim(restorer, noise, photos, key=key, eta=1.0).x_0

    def momentum(seed):
        stds = np.linspace(0.1, 0.4, T)
        key = jax.random.key(seed)
        return sample_momentum(restorer, blur, photos, key=key, noise_stds=stds).x_0

    for run in (ddim, momentum):
        np.testing.assert_array_equal(run(0), run(0))
        assert np.abs(run(0) - run(1)).max() > 0.01


@pytest.mark.parametrize(
    "alphas", [[1.0, 1.0, 0.5, 0.1], [0.9, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_steps_without_noise_or_image_stay_finite(alphas, eta, photos):
    noise = cd.gaussian_noise(alphas).bind(jax.random.key(0), photos.shape)
    for restart in (None, sampling.Restart(3, 4)):

        def loss(x_T, eta, restart=restart):
            key = jax.random.key(1)
            result = sample_ddim(
                restorer, noise, x_T, key=key, eta=eta, restart=restart
            )
            return jnp.square(result.x_0).mean()

        value, slopes = jax.value_and_grad(loss, (0, 1))(jnp.asarray(photos), eta)
        assert np.isfinite(value)
        assert all(np.isfinite(slope).all() for slope in slopes)


def test_bad_arguments_raise(noise, photos):
    blur = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    color = cd.fade_to_color(32, T * [1.0])

    def ddim(degrade, **options):
        sample_ddim(restorer, degrade, photos, key=jax.random.key(0), **options)

    def momentum(degrade, noise_stds):
        key = jax.random.key(0)
        sample_momentum(restorer, degrade, photos, key=key, noise_stds=noise_stds)

    with pytest.raises(TypeError, match="noisy or animorph, got Separ"):
        ddim(blur)
    with pytest.raises(TypeError, match="noisy or animorph, got Blend"):
        ddim(color)
    with pytest.raises(ValueError, match=r"endpoint at every step; .* got 'fixed'"):
        ddim(noise, endpoint="fixed")
    with pytest.raises(ValueError, match=r"eta must lie in \[0, 1\], got 2"):
        ddim(noise, eta=2)
    with pytest.raises(TypeError, match=r"key must be a jax\.random\.key"):
        sample_ddim(restorer, noise, photos, key=None)
    with pytest.raises(TypeError, match="a plain function has no num_steps"):
        momentum(lambda x, t: x, [0.1])
    for stds, message in (
        ([0.1], "noise_stds must have one value per step, T = 8, got 1"),
        (T * [-1.0], "noise_stds must be non-negative and finite"),
        ([*range(T, 0, -1)], "noise_stds must not decrease"),
    ):
        with pytest.raises(ValueError, match=message):
            momentum(blur, stds)


def test_the_noise_of_an_image_depends_only_on_its_own_key(noise, photos):
    keys = jax.random.split(jax.random.key(3), 4)
    whole = sample_ddim(restorer, noise, photos, key=keys, eta=1.0).x_0
    with jax.debug_key_reuse(False):
        part = sample_ddim(restorer, noise, photos[2:], key=keys[2:], eta=1.0).x_0
    np.testing.assert_allclose(part, whole[2:], atol=1e-5)
