"""Published systems as degradations and steps of this library, by their formulas.

`docs/family.md` lists them; `test_posteriors.py` has DDPM, DDIM and others.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import sampling, schedules
from colddiff_jax.models.preconditioning import velocity_scales
from colddiff_jax.prng import draw_normal_at, keys_per_example
from tests.sampling.oracles import SHAPE, check, key, single

RNG = np.random.default_rng(0)


def images(n):
    """Returns n batches of float64 images."""
    return RNG.normal(size=(n, *SHAPE))


def first_step(degrade, x_t, x_0, *, t, s, eta):
    """Returns x_s, where R returns x_0, and the noise that was drawn, in float64."""
    result = sampling.sample_ddim(
        lambda x, t: single(x_0), degrade, single(x_t), key=key(), eta=eta,
        timesteps=[t, s, 0], return_trajectory=True,
    )  # fmt: skip
    noise = draw_normal_at(keys_per_example(key(), len(x_t)), 0, x_t.shape[1:])
    return result.trajectory[1], np.asarray(noise, np.float64)


def moments(degrade, x_0, y, t):
    """Returns the mean and the deviation of x_t given x_0 and y."""
    nothing, one = jnp.zeros((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1))
    mean = degrade.with_images(single(y)).with_endpoint(nothing)(single(x_0), t)
    std = degrade.with_images(nothing).with_endpoint(one)(nothing, t)
    return mean, std


@pytest.fixture(params=[(5, 2), (4, 3), (3, 1)])
def steps(request):
    return request.param


@pytest.mark.parametrize(("t", "s"), [(1000, 999), (1000, 900), (500, 499), (2, 1)])
def test_ddpm_and_ddim_with_the_schedule_of_ddpm(t, s):
    """Ho et al. (2020), equations 4, 6, 7; Song et al. (2021), equations 12, 16."""
    betas = np.linspace(1e-4, 0.02, 1000)
    abar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    degrade = cd.gaussian_noise(schedules.linear_betas(1000))
    x_0, z = images(2)
    x_t = np.sqrt(abar[t]) * x_0 + np.sqrt(1 - abar[t]) * z
    check(degrade.with_endpoint(single(z))(single(x_0), t), x_t)
    found, e = first_step(degrade, x_t, x_0, t=t, s=s, eta=1.0)
    alpha = abar[t] / abar[s]
    mean = (
        np.sqrt(abar[s]) * (1 - alpha) / (1 - abar[t]) * x_0
        + np.sqrt(alpha) * (1 - abar[s]) / (1 - abar[t]) * x_t
    )
    variance = (1 - abar[s]) / (1 - abar[t]) * (1 - alpha)
    check(found, mean + np.sqrt(variance) * e)
    for eta in (0.0, 0.3):
        found, e = first_step(degrade, x_t, x_0, t=t, s=s, eta=eta)
        expected = np.sqrt(abar[s]) * x_0
        expected += np.sqrt(1 - abar[s] - eta**2 * variance) * z
        check(found, expected + eta * np.sqrt(variance) * e)


def rddm(abar, bbar):
    """Liu et al. (2024): the residual y - x_0 and the noise grow independently."""
    return cd.noisy(cd.blend(1 - abar, abar, endpoint="image"), bbar)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_rddm(steps, eta):
    """Liu et al. (2024), the generalised sampling process with sigma_t^2 of share eta.

    Its eta is the square of ours.
    """
    t, s = steps
    alphas, betas = RNG.dirichlet(np.ones(5)), RNG.uniform(0.1, 0.5, 5)
    abar = np.concatenate([[0.0], np.cumsum(alphas)])
    bbar = np.concatenate([[0.0], np.sqrt(np.cumsum(betas**2))])
    degrade = rddm(np.minimum(abar[1:], 1), bbar[1:])
    x_0, x_t, y = images(3)
    mean, std = moments(degrade, x_0, y, t)
    check(mean, x_0 + abar[t] * (y - x_0))
    check(std, bbar[t])
    given = degrade.with_images(single(y))
    found, e = first_step(given, x_t, x_0, t=t, s=s, eta=np.sqrt(eta))
    residual = y - x_0
    noise = (x_t - y - (abar[t] - 1) * residual) / bbar[t]
    variance = eta * (bbar[t] ** 2 - bbar[s] ** 2) * bbar[s] ** 2 / bbar[t] ** 2
    expected = (
        x_t
        - (abar[t] - abar[s]) * residual
        - (bbar[t] - np.sqrt(bbar[s] ** 2 - variance)) * noise
        + np.sqrt(variance) * e
    )
    check(found, expected)


def test_rddm_into_nothing_is_ddim(steps):
    """Liu et al. (2024): y = 0 with 1 - abar = sqrt(alphas_cumprod)."""
    t, s = steps
    alphas_cumprod = schedules.linear_betas(5, start=0.05, stop=0.6)
    x_0, x_t = images(2)
    degrade = rddm(1 - np.sqrt(alphas_cumprod), np.sqrt(1 - alphas_cumprod))
    given = degrade.with_images(jnp.zeros(SHAPE))
    found, _ = first_step(given, x_t, x_0, t=t, s=s, eta=0.0)
    hot = cd.gaussian_noise(alphas_cumprod)
    expected, _ = first_step(hot, x_t, x_0, t=t, s=s, eta=0.0)
    check(found, np.asarray(expected, np.float64))


def resfusion_variances(num_steps):
    """alphas_cumprod of Shi et al. (2023), cut at 1/4, where x_0 cancels."""
    betas = 1000 / num_steps * np.linspace(1e-4, 0.02, num_steps)
    alphas_cumprod = np.cumprod(1 - betas)
    return np.append(alphas_cumprod[alphas_cumprod > 0.25], 0.25)


def resfusion(alphas_cumprod):
    root = np.sqrt(alphas_cumprod)
    blend = cd.blend(2 * root - 1, 1 - root, endpoint="image")
    return cd.noisy(blend, np.sqrt(1 - alphas_cumprod), gains=root)


def test_resfusion(steps):
    """Shi et al. (2023), equations 20, 28 and 44."""
    t, s = steps
    alphas_cumprod = resfusion_variances(12)
    assert len(alphas_cumprod) == 5  # The paper's five steps.
    degrade = resfusion(alphas_cumprod)
    abar = np.concatenate([[1.0], alphas_cumprod])
    x_0, x_t, y = images(3)
    residual = y - x_0
    mean, std = moments(degrade, x_0, y, t)
    check(mean, np.sqrt(abar[t]) * x_0 + (1 - np.sqrt(abar[t])) * residual)
    check(std, np.sqrt(1 - abar[t]))
    check(moments(degrade, x_0, y, 5)[0], y / 2)  # Nothing of x_0.
    given = degrade.with_images(single(y))
    found, e = first_step(given, x_t, x_0, t=t, s=s, eta=1.0)
    alpha = abar[t] / abar[s]
    mean = (
        np.sqrt(alpha) * (1 - abar[s]) * (x_t - residual)
        + np.sqrt(abar[s]) * (1 - alpha) * (x_0 - residual)
    ) / (1 - abar[t]) + residual
    variance = (1 - abar[s]) / (1 - abar[t]) * (1 - alpha)
    check(found, mean + np.sqrt(variance) * e)


def ir_sde(theta, noise):
    weights = np.exp(-theta)
    blend = cd.blend(weights, 1 - weights, endpoint="image")
    return cd.noisy(blend, noise * np.sqrt(1 - weights**2), gains=weights)


def test_ir_sde(steps):
    """Luo et al. (2023), the marginals and the optimal reverse state."""
    t, s = steps
    theta, noise = np.concatenate([[0.0], np.cumsum(RNG.uniform(0.1, 0.9, 5))]), 0.08
    degrade = ir_sde(theta[1:], noise)
    x_0, x_t, mu = images(3)
    mean, std = moments(degrade, x_0, mu, t)
    check(mean, mu + (x_0 - mu) * np.exp(-theta[t]))
    check(std, noise * np.sqrt(1 - np.exp(-2 * theta[t])))
    given = degrade.with_images(single(mu))
    found, e = first_step(given, x_t, x_0, t=t, s=s, eta=1.0)
    A, B, C = np.exp(-(theta[t] - theta[s])), np.exp(-theta[t]), np.exp(-theta[s])
    mean = (
        A * (1 - C**2) / (1 - B**2) * (x_t - mu)
        + C * (1 - A**2) / (1 - B**2) * (x_0 - mu)
        + mu
    )
    variance = noise**2 * (1 - C**2) * (1 - A**2) / (1 - B**2)
    check(found, mean + np.sqrt(variance) * e)


def i2sb(variances):
    """Liu et al. (2023): a Brownian bridge from x_0 to y."""
    share = np.cumsum(variances) / np.sum(variances)
    blend = cd.blend(1 - share, share, endpoint="image")
    stds = np.sqrt(share * (1 - share) * np.sum(variances))
    return cd.noisy(blend, stds, gains=1 - share)


@pytest.mark.parametrize(("t", "s"), [(6, 5), (6, 2), (4, 3), (3, 1)])
def test_i2sb(t, s):
    """Liu et al. (2023), equation 11 for the training, and 4 for the step from y."""
    half = np.linspace(0.01, 0.1, 3)
    variances = np.concatenate([half, half[::-1]])  # Symmetric.
    degrade = i2sb(variances)
    forward = np.concatenate([[0.0], np.cumsum(variances)])
    backward = forward[-1] - forward
    x_0, x_t, y = images(3)
    mean, std = moments(degrade, x_0, y, t)
    check(mean, (backward[t] * x_0 + forward[t] * y) / forward[-1])
    check(std, np.sqrt(backward[t] * forward[t] / forward[-1]))
    x_t = y if t == 6 else x_t  # x_T is y, without noise.
    given = degrade.with_images(single(y))
    found, e = first_step(given, x_t, x_0, t=t, s=s, eta=1.0)
    between = forward[t] - forward[s]
    mean = (between * x_0 + forward[s] * x_t) / (between + forward[s])
    variance = between * forward[s] / (between + forward[s])
    check(found, mean + np.sqrt(variance) * e)


def test_i2sb_without_noise_is_the_optimal_transport():
    """Liu et al. (2023), section 3.3: with eta = 0, the mean of every x_s."""
    degrade = i2sb(np.array([0.1, 0.2, 0.2, 0.1]))
    x_0, y = images(2)
    found, _ = first_step(degrade.with_images(single(y)), y, x_0, t=4, s=2, eta=0.0)
    check(found, (x_0 + y) / 2)


def test_indi(steps):
    """Delbracio and Milanfar (2023): a step of delta = (t - s) / T towards F."""
    t, s = steps
    tau = schedules.power(5, exponent=1)
    x_0, x_t = images(2)
    degrade = cd.blend(1 - tau, tau, endpoint="image")
    found, _ = first_step(degrade, x_t, x_0, t=t, s=s, eta=0.0)
    delta = (t - s) / t
    check(found, delta * x_0 + (1 - delta) * x_t)


def test_indi_with_noise(steps):
    """Delbracio and Milanfar (2023): noise t eps_t, with eps_t = eps / sqrt(t)."""
    t, s = steps
    tau = schedules.power(5, exponent=1)
    x_0, x_t, y = images(3)
    blend = cd.blend(1 - tau, tau, endpoint="image").with_endpoint(single(y))
    degrade = cd.noisy(blend, 0.1 * np.sqrt(tau))
    found, e = first_step(degrade, x_t, x_0, t=t, s=s, eta=1.0)
    eps_t, eps_s = 0.1 / np.sqrt(t / 5), 0.1 / np.sqrt(s / 5)
    fresh = s / 5 * np.sqrt(eps_s**2 - eps_t**2)
    check(found, (1 - s / t) * x_0 + s / t * x_t + fresh * e)


def test_a_velocity_is_integrated_by_eulers_method(steps):
    """Liu et al. (2022): x_s = x_t + (s - t) / T v(x_t, t)."""
    t, s = steps
    tau = schedules.power(5, exponent=1)
    flow = cd.blend(1 - tau, tau)
    output = jnp.asarray(velocity_scales(flow).output, jnp.float32)
    x_t, v = images(2)

    def restore_fn(x, t):
        return x + output[t - 1][:, None, None, None] * single(v)

    for sampler in (cd.sample_alg1, cd.sample_alg2):
        result = sampler(
            restore_fn, flow, single(x_t), timesteps=[t, s, 0], endpoint="estimated",
            return_trajectory=True,
        )  # fmt: skip
        check(result.trajectory[1], x_t + (s - t) / 5 * v)


@pytest.mark.parametrize("name", ["rddm", "resfusion", "ir_sde", "i2sb"])
def test_ancestral_samples_have_the_marginals_of_the_paper(name):
    """By Monte Carlo: the steps of a perfect R keep the mean and the deviation."""
    abar = np.array([0.1, 0.3, 0.6, 0.9, 1.0])
    degrade = {
        "rddm": rddm(abar, 0.4 * abar),
        "resfusion": resfusion(resfusion_variances(12)),
        "ir_sde": ir_sde(np.arange(1, 6) / 2, 0.2),
        "i2sb": i2sb(np.array([0.1, 0.2, 0.3, 0.2, 0.1])),
    }[name]
    n = 20_000
    x_0, y = (jnp.broadcast_to(single(x), (n, 2, 2, 1)) for x in RNG.normal(size=2))
    bound = degrade.with_images(y).bind(jax.random.key(1), x_0.shape)
    result = sampling.sample_ddim(
        lambda x, t: x_0, bound, bound(x_0, 5), key=key(), eta=1.0,
        return_trajectory=True,
    )  # fmt: skip
    for x_t, t in zip(result.trajectory, range(5, -1, -1), strict=True):
        mean, std = moments(degrade, x_0[:1], y[:1], t)
        error = np.abs(np.asarray(x_t, np.float64).mean(axis=0) - mean[0]).max()
        assert error <= 5 * float(std.max()) / np.sqrt(n) + 1e-6
        deviation = np.abs(np.asarray(x_t).std(axis=0) - std[0]).max()
        assert deviation <= 0.02 * degrade.stds.max()
