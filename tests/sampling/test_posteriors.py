"""The step with noise against the posteriors of published systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

import colddiff_jax as cd
from colddiff_jax import sampling
from colddiff_jax.degradations import Blend
from colddiff_jax.prng import draw_normal_at, keys_per_example

T, SHAPE = 5, (3, 8, 8, 2)
RNG = np.random.default_rng(0)


def key():
    return jax.random.key(5)


def images(n):
    return (jnp.asarray(x, jnp.float32) for x in RNG.normal(size=(n, *SHAPE)))


def first_step(degrade, x_t, x_0, *, t, s, eta):
    """Returns x_s, where R returns x_0, and the noise that was drawn."""
    result = sampling.sample_ddim(
        lambda x, t: x_0, degrade, x_t, key=key(), eta=eta, timesteps=[t, s, 0],
        return_trajectory=True,
    )  # fmt: skip
    noise = draw_normal_at(keys_per_example(key(), len(x_t)), 0, x_t.shape[1:])
    return result.trajectory[1], noise


@pytest.fixture(params=[(5, 2), (4, 3), (3, 1)])
def steps(request):
    return request.param


def test_ddpm(steps):
    """Ho et al. (2020), equations 6 and 7, for any two steps."""
    t, s = steps
    abar = np.concatenate([[1.0], np.sort(RNG.uniform(0.01, 0.99, T))[::-1]])
    x_0, x_t = images(2)
    found, e = first_step(cd.gaussian_noise(abar[1:]), x_t, x_0, t=t, s=s, eta=1.0)
    alpha = abar[t] / abar[s]
    beta = 1 - alpha
    mean = (
        np.sqrt(abar[s]) * beta / (1 - abar[t]) * x_0
        + np.sqrt(alpha) * (1 - abar[s]) / (1 - abar[t]) * x_t
    )
    std = np.sqrt((1 - abar[s]) / (1 - abar[t]) * beta)
    np.testing.assert_allclose(found, mean + std * e, atol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.4])
def test_ddim(steps, eta):
    """Song et al. (2021), equations 12 and 16."""
    t, s = steps
    abar = np.concatenate([[1.0], np.sort(RNG.uniform(0.01, 0.99, T))[::-1]])
    x_0, x_t = images(2)
    found, e = first_step(cd.gaussian_noise(abar[1:]), x_t, x_0, t=t, s=s, eta=eta)
    sigma = eta * np.sqrt((1 - abar[s]) / (1 - abar[t]) * (1 - abar[t] / abar[s]))
    predicted = (x_t - np.sqrt(abar[t]) * x_0) / np.sqrt(1 - abar[t])
    expected = np.sqrt(abar[s]) * x_0 + np.sqrt(1 - abar[s] - sigma**2) * predicted
    np.testing.assert_allclose(found, expected + sigma * e, atol=1e-6)


def test_blurring_diffusion_of_one_frequency(steps):
    """Hoogeboom and Salimans (2022), equations 14 and 15: alpha is that of a mode."""
    t, s = steps
    alphas = np.concatenate([[1.0], np.sort(RNG.uniform(0.1, 0.9, T))[::-1]])
    sigmas = np.concatenate([[0.0], np.sort(RNG.uniform(0.2, 1.0, T))])
    degrade = cd.noisy(cd.fade(alphas[1:]), sigmas[1:], gains=alphas[1:])
    u_0, u_t = images(2)
    found, e = first_step(degrade, u_t, u_0, t=t, s=s, eta=1.0)
    alpha_ts = alphas[t] / alphas[s]
    var_ts = sigmas[t] ** 2 - alpha_ts**2 * sigmas[s] ** 2
    var = 1 / (1 / sigmas[s] ** 2 + alpha_ts**2 / var_ts)
    mean = var * (alpha_ts / var_ts * u_t + alphas[s] / sigmas[s] ** 2 * u_0)
    np.testing.assert_allclose(found, mean + np.sqrt(var) * e, atol=1e-6)


def published_levels(t):
    """Hoogeboom and Salimans (2022), section 4: alpha_t of each frequency, sigma_t."""
    fraction = t / T
    width = 20 * np.sin(fraction * np.pi / 2) ** 2
    frequencies = np.pi * np.arange(8) / 8
    squared = frequencies[:, None, None] ** 2 + frequencies[None, :, None] ** 2
    scaling = np.exp(-squared * width**2 / 2) * (1 - 0.001) + 0.001
    last = np.arctan(np.exp(-0.5 * 10.0))
    first = np.arctan(np.exp(-0.5 * -10.0)) - last
    log_snr = -2 * np.log(np.tan(first * fraction + last))
    a = np.sqrt(1 / (1 + np.exp(-log_snr)))
    return a * scaling, np.sqrt(1 / (1 + np.exp(log_snr)))


def blurring_diffusion():
    steps = np.arange(1, T + 1)
    sigmas = 20 * np.sin(np.pi * steps / (2 * T)) ** 2
    stds = np.array([published_levels(t)[1] for t in steps])
    return cd.blur_and_noise(8, sigmas, 1 - stds**2)


def dct(x):
    return scipy.fft.dctn(np.asarray(x, np.float64), axes=(1, 2), norm="ortho")


def test_blurring_diffusion_has_the_published_levels():
    degrade = blurring_diffusion()
    for t in range(1, T + 1):
        alphas, sigma = published_levels(t)
        np.testing.assert_allclose(degrade.levels(t)[0][0], alphas, atol=1e-6)
        np.testing.assert_allclose(degrade.levels(t)[1], sigma, atol=1e-6)
    np.testing.assert_array_equal(degrade.levels(0)[0], np.ones((1, 8, 8, 1)))


def test_blurring_diffusion(steps):
    """Hoogeboom and Salimans (2022), equations 14 and 15, for every frequency."""
    t, s = steps
    x_0, x_t = images(2)
    found, e = first_step(blurring_diffusion(), x_t, x_0, t=t, s=s, eta=1.0)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = published_levels(t), published_levels(s)
    alpha_ts = alpha_t / alpha_s
    var_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
    var = 1 / (1 / sigma_s**2 + alpha_ts**2 / var_ts)
    mean = var * (alpha_ts / var_ts * dct(x_t) + alpha_s / sigma_s**2 * dct(x_0))
    expected = mean + np.sqrt(var) * np.asarray(e)
    np.testing.assert_allclose(dct(found), expected, atol=1e-6)


def test_ancestral_steps_of_blurring_diffusion_keep_the_marginals_of_frequencies():
    degrade = blurring_diffusion()
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
    x_0 = jnp.broadcast_to(x, (4000, 8, 8, 1))
    bound = degrade.bind(jax.random.key(1), x_0.shape)
    result = sampling.sample_ddim(
        lambda x, t: x_0, bound, bound(x_0, T), key=key(), eta=1.0,
        return_trajectory=True,
    )  # fmt: skip
    for index, t in enumerate(range(T, 0, -1)):
        alphas, sigma = published_levels(t)
        modes = dct(result.trajectory[index])
        error = modes.mean(axis=0) - (alphas * dct(x))[0]
        assert np.abs(error).max() < 5 * sigma / np.sqrt(4000)
        assert np.abs(modes.std(axis=0) / sigma - 1).max() < 0.06
    np.testing.assert_allclose(result.x_0, x_0, atol=1e-5)


def test_without_blur_it_is_gaussian_noise():
    abar = np.sort(RNG.uniform(0.01, 0.99, T))[::-1]
    x_0, x_t = images(2)
    plain, blurred = (
        first_step(degrade, x_t, x_0, t=4, s=2, eta=0.0)[0]
        for degrade in (
            cd.gaussian_noise(abar),
            cd.blur_and_noise(8, T * [3.0], abar, min_gain=1.0),
        )
    )
    np.testing.assert_allclose(plain, blurred, atol=1e-6)


def test_ir_sde(steps):
    """Luo et al. (2023), proposition 2: the image reverts to a degraded one, mu."""
    t, s = steps
    theta = np.concatenate([[0.0], np.cumsum(RNG.uniform(0.1, 0.5, T))])
    lam = 0.3
    x_0, x_t, mu = images(3)
    blend = Blend(
        image_weights=jnp.asarray(np.exp(-theta), jnp.float32),
        endpoint_weights=jnp.asarray(1 - np.exp(-theta), jnp.float32),
        draw_endpoint=None, endpoint=mu, endpoint_kind="image", num_steps=T,
    )  # fmt: skip
    stds = lam * np.sqrt(1 - np.exp(-2 * theta))
    degrade = cd.noisy(blend, stds[1:], gains=np.exp(-theta[1:]))
    found, e = first_step(degrade, x_t, x_0, t=t, s=s, eta=1.0)
    step = theta[t] - theta[s]  # theta'_i, the change between the two steps.
    past, now = np.exp(-2 * theta[s]), np.exp(-2 * theta[t])
    mean = (
        (1 - past) / (1 - now) * np.exp(-step) * (x_t - mu)
        + (1 - np.exp(-2 * step)) / (1 - now) * np.exp(-theta[s]) * (x_0 - mu)
        + mu
    )
    var = lam**2 * (1 - past) * (1 - np.exp(-2 * step)) / (1 - now)
    np.testing.assert_allclose(found, mean + np.sqrt(var) * e, atol=1e-6)


def test_ancestral_samples_of_a_perfect_restorer_have_the_marginals_of_d():
    blur = cd.heat_blur(16, [0.5, 1.0, 1.5, 2.0, 3.0])
    stds = [0.1, 0.2, 0.3, 0.4, 0.5]
    x_0 = jax.random.normal(jax.random.key(0), (200, 16, 16, 1))
    degrade = cd.noisy(blur, stds).bind(jax.random.key(1), x_0.shape)
    result = sampling.sample_ddim(
        lambda x, t: x_0, degrade, degrade(x_0, T), key=key(), eta=1.0,
        return_trajectory=True,
    )  # fmt: skip
    for index, t in enumerate(range(T, 0, -1)):
        noise = np.asarray(result.trajectory[index] - blur(x_0, t))
        assert abs(noise.std() / stds[t - 1] - 1) < 0.02
    np.testing.assert_allclose(result.x_0, x_0, atol=1e-5)


def test_algorithm_2_on_a_linear_blend_is_eulers_method_of_rectified_flow():
    fractions = cd.schedules.linear_decay(T)
    x_0, x_T = images(2)

    def restore_fn(x, t):
        return 0.3 * x_0 + jnp.sin(x)

    found = sampling.sample_alg2(
        restore_fn, cd.blend(fractions, 1 - fractions).with_endpoint(x_T), x_T,
        endpoint="estimated",
    )  # fmt: skip
    x = np.asarray(x_T)
    for t in range(T, 0, -1):
        # x_0 = x_t - (t / T) v for the velocity v = z - x_0.
        velocity = (x - np.asarray(restore_fn(x, t))) / (t / T)
        x = x - velocity / T
    np.testing.assert_allclose(found.x_0, x, atol=1e-5)


def test_restoration_based_generative_models(steps):
    """Choi et al. (2023): x_s = A_s R(x_t, t) + sigma_s e, with new noise."""
    t, s = steps
    stds = np.concatenate([[0.0], np.sort(RNG.uniform(0.1, 0.8, T))])
    sizes = [8, 8, 4, 4, 2]
    x_0, x_t = images(2)
    degrade = cd.noisy(cd.pixelate(8, sizes, method="area"), stds[1:])
    found = sampling.sample_ddim(
        lambda x, t: x_0, degrade, x_t, key=key(), eta=1.0, redraw=True,
        timesteps=[t, s, 0], return_trajectory=True,
    ).trajectory[1]  # fmt: skip
    e = draw_normal_at(keys_per_example(key(), len(x_t)), 0, x_t.shape[1:])
    side, block = sizes[s - 1], 8 // sizes[s - 1]
    means = np.asarray(x_0).reshape(3, side, block, side, block, 2).mean((2, 4))
    A_s = means.repeat(block, axis=1).repeat(block, axis=2)
    np.testing.assert_allclose(found, A_s + stds[s] * e, atol=1e-6)
    kept, _ = first_step(degrade, x_t, x_0, t=t, s=s, eta=1.0)
    assert np.abs(kept - found).max() > 0.01  # The posterior keeps a share.


def test_soft_diffusion(steps):
    """Daras et al. (2022), the momentum sampler, whose noise is smaller here."""
    t, s = steps
    stds = np.concatenate([[0.0], np.sort(RNG.uniform(0.1, 0.8, T))])
    blur = cd.heat_blur(8, [0.5, 1.0, 1.5, 2.0, 3.0])
    x_0, x_t = images(2)
    degrade = cd.noisy(blur, stds[1:])
    found, e = first_step(degrade, x_t, x_0, t=t, s=s, eta=1.0)
    y_t, y_s = blur(x_0, t), blur(x_0, s)
    change = stds[t] ** 2 - stds[s] ** 2
    published = x_t - (y_t - y_s) + change * (y_t - x_t) / stds[t] ** 2
    noise = stds[s] / stds[t] * np.sqrt(change)  # The published: sqrt(change).
    np.testing.assert_allclose(found, published + noise * e, atol=1e-6)


def test_momentum_is_ancestral_sampling_of_a_gain_of_one():
    blur = cd.heat_blur(8, [0.5, 1.0, 1.5, 2.0, 3.0])
    stds = [0.1, 0.2, 0.3, 0.4, 0.5]
    x_0, x_T = images(2)
    found = sampling.sample_momentum(
        lambda x, t: x_0 + x, blur, x_T, key=key(), noise_stds=stds
    )
    expected = sampling.sample_ddim(
        lambda x, t: x_0 + x, cd.noisy(blur, stds), x_T, key=key(), eta=1.0
    )
    np.testing.assert_allclose(found.x_0, expected.x_0, atol=1e-5)
