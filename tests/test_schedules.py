"""The schedules of the paper."""

import numpy as np
import pytest

from colddiff_jax import schedules


def test_published_schedules_have_the_published_endpoints():
    cifar = schedules.linear(50, start=0.35, increment=0.01)
    celeba = schedules.exponential(200, rate=0.01)
    mask = schedules.linear(50, start=1.1, increment=0.1)
    np.testing.assert_allclose(cifar[[0, -1]], [0.35, 0.84])
    np.testing.assert_allclose(celeba[[0, -1]], [1.0, 7.32], atol=5e-3)
    np.testing.assert_allclose(mask[[0, -1]], [1.1, 6.0])
    np.testing.assert_array_equal(schedules.constant(20, value=7.0), np.full(20, 7.0))


def test_cosine_matches_the_official_code(golden):
    recorded = golden["blend_cosine/T200/alphas_cumprod"]
    np.testing.assert_allclose(schedules.cosine(200), recorded, atol=1e-6)
    # The last beta is clipped; otherwise nothing of the image would remain.
    np.testing.assert_allclose(schedules.cosine(200)[-1], 6.07e-8, rtol=1e-3)
    np.testing.assert_allclose(schedules.cosine(50)[-1], 9.7e-7, rtol=1e-2)


def test_cosine_is_a_squared_cosine_except_for_its_last_value():
    def f(fraction):
        return np.cos((fraction + 0.008) / 1.008 * np.pi / 2) ** 2

    expected = f(np.arange(1, 31) / 31) / f(0)
    np.testing.assert_allclose(schedules.cosine(31)[:-1], expected, rtol=1e-9)
    np.testing.assert_allclose(schedules.cosine(31)[-1], expected[-1] / 1000)


def test_decays_halving_and_geometric():
    np.testing.assert_allclose(schedules.linear_decay(4), [0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(
        schedules.exponential_decay(3, factor=0.5), [0.5, 0.25, 0.125]
    )
    assert schedules.exponential_decay(3, factor=0.5, to_zero=True)[-1] == 0
    assert schedules.halving(32, num_steps=3) == [16, 8, 4]
    assert schedules.halving(21, num_steps=4) == [10, 5, 2, 1]
    np.testing.assert_allclose(
        schedules.geometric(3, start=0.5, stop=8.0), [0.5, 2.0, 8.0]
    )


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="side 32 can be halved at most 5 times, got"):
        schedules.halving(32, num_steps=6)
    for size in ("32", (32, 32), 32.0, -5):
        with pytest.raises(ValueError, match="image_size must be a positive integer"):
            schedules.halving(size, num_steps=1)
    for offset in (-1.0, np.nan):
        with pytest.raises(ValueError, match="offset must be finite and non-negative"):
            schedules.cosine(5, offset=offset)
    with pytest.raises(ValueError, match=r"factor must lie in \[0, 1\], got 1.1"):
        schedules.exponential_decay(5, factor=1.1)
    with pytest.raises(
        ValueError, match="start and stop must be positive and finite, got start=0"
    ):
        schedules.geometric(3, start=0, stop=1.0)


def test_linear_betas_are_those_of_ddpm():
    """Ho et al. (2020), section 4: beta_1 = 1e-4, beta_T = 0.02, T = 1000."""
    abar = schedules.linear_betas(1000)
    betas = 1 - abar / np.concatenate([[1.0], abar[:-1]])
    expected = [1e-4 + (0.02 - 1e-4) * j / 999 for j in range(1000)]
    np.testing.assert_allclose(betas, expected, rtol=1e-6)
    # "L_T = D_KL(q(x_T | x_0) || N(0, I)) = about 1e-5 bits per dimension", for the
    # mean square of images in [-1, 1], about 1/4.
    divergence = (0.25 * abar[-1] + (1 - abar[-1]) - 1 - np.log(1 - abar[-1])) / 2
    assert 0.5e-5 < divergence / np.log(2) < 2e-5


def test_a_power_is_that_of_the_fraction_of_the_steps():
    np.testing.assert_allclose(schedules.power(4, exponent=1), [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(schedules.power(3, exponent=-2), [9, 9 / 4, 1])
    np.testing.assert_array_equal(schedules.power(3, exponent=0), np.ones(3))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.6), (-1.0, 2.0)])
def test_logit_normal_sums_its_density_over_every_step(mean, std):
    """Esser et al. (2024), equation 19."""
    found = schedules.logit_normal(10, mean=mean, std=std)
    u = (np.arange(1_000_000) + 0.5) / 1_000_000
    logit = np.log(u / (1 - u))
    density = np.exp(-((logit - mean) ** 2) / (2 * std**2)) / (u * (1 - u))
    density /= std * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found, density.reshape(10, -1).mean(1) / 10, rtol=1e-6)
    assert abs(found.sum() - 1) < 1e-12


def test_invalid_arguments_of_schedules_of_diffusion_models_raise():
    with pytest.raises(ValueError, match=r"in \(0, 1\), got start=0.5, stop=1"):
        schedules.linear_betas(4, start=0.5, stop=1)
    with pytest.raises(ValueError, match="exponent must be finite, got inf"):
        schedules.power(4, exponent=np.inf)
    with pytest.raises(ValueError, match="std positive, got mean=0"):
        schedules.logit_normal(4, std=0)


@pytest.mark.parametrize("num_steps", [0, -3, 2.0, "20", True])
def test_invalid_num_steps_raises(num_steps):
    with pytest.raises(ValueError, match="num_steps must be a positive integer, got"):
        schedules.constant(num_steps, value=1.0)
