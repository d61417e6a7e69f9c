"""Identities that hold for random linear degradations and random networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import schedules
from colddiff_jax.degradations import Separable
from tests.networks import random_parameters, tiny_unet

T, SIZE = 6, 8
SHAPE = (3, SIZE, SIZE, 2)
STRIDES = [None, (6, 5, 2, 0)]

EULER = {
    "alg2": cd.sample_alg2,
    "momentum": lambda *arguments, **options: cd.sample_momentum(
        *arguments, key=jax.random.key(9), noise_stds=T * [0.0], **options
    ),
}
SECOND_ORDER = {"heun": cd.sample_heun, "ab2": cd.sample_ab2}
ALL = EULER | SECOND_ORDER | {"alg1": cd.sample_alg1}


def images(seed):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-1, 1, SHAPE), jnp.float32)


def random_linear(seed):
    """A_t x B_t^T with independent random matrices of norm about one."""
    rng = np.random.default_rng(seed)
    tables = rng.normal(size=(2, T, SIZE, SIZE)) / np.sqrt(2 * SIZE)
    return Separable(
        operators=tuple(jnp.asarray(table, jnp.float32) for table in tables),
        num_steps=T,
    )


@pytest.fixture(scope="module")
def networks():
    """Two networks with random weights."""
    model = tiny_unet(patch_size=2)

    def network(seed):
        params = random_parameters(model, SHAPE[1:], seed)
        return jax.tree_util.Partial(model.apply, {"params": params})

    return [network(seed) for seed in range(2)]


@pytest.fixture(scope="module")
def run():
    """run(sampler, restore_fn, degrade, x_T, timesteps), compiled once per stride."""
    return jax.jit(
        lambda sampler, restore_fn, degrade, x_T, timesteps: ALL[sampler](
            restore_fn, degrade, x_T, timesteps=timesteps, return_trajectory=True
        ),
        static_argnums=(0, 4),
    )


def constant(image):
    return jax.tree_util.Partial(lambda image, x_t, t: image, image)


@pytest.mark.parametrize("timesteps", STRIDES)
@pytest.mark.parametrize("sampler", ALL)
def test_a_perfect_restorer_is_exact_at_every_stride(run, sampler, timesteps):
    for seed in range(3):
        degrade, x = random_linear(seed), images(seed)
        result = run(sampler, constant(x), degrade, degrade(x, T), timesteps)
        np.testing.assert_allclose(result.x_0, x, atol=5e-6)


@pytest.mark.parametrize("timesteps", STRIDES)
@pytest.mark.parametrize("sampler", [*EULER, *SECOND_ORDER])
def test_a_constant_restorer_telescopes(run, sampler, timesteps):
    for seed in range(3):
        degrade, x, guess = random_linear(seed), images(seed), images(seed + 50)
        x_T = degrade(x, T)
        result = run(sampler, constant(guess), degrade, x_T, timesteps)
        expected = x_T - degrade(guess, T) + guess
        np.testing.assert_allclose(result.x_0, expected, atol=5e-6)


@pytest.mark.parametrize("timesteps", STRIDES)
@pytest.mark.parametrize("sampler", EULER)
def test_algorithm_2_is_its_telescoped_sum(run, networks, sampler, timesteps):
    steps = timesteps or list(range(T, -1, -1))
    for seed, network in enumerate(networks):
        degrade = random_linear(seed)
        x_T = degrade(images(seed), T)
        result = run(sampler, network, degrade, x_T, timesteps)
        total = np.asarray(x_T, np.float64)
        for t, s, x_t in zip(steps[:-1], steps[1:], result.trajectory, strict=False):
            R_t = jax.jit(network)(x_t, jnp.full(3, t))
            total += np.asarray(degrade(R_t, s) - degrade(R_t, t), np.float64)
        np.testing.assert_allclose(result.x_0, total, atol=2e-5)


@pytest.mark.parametrize("timesteps", STRIDES)
@pytest.mark.parametrize("sampler", [*EULER, *SECOND_ORDER])
def test_any_network_is_exact_if_d_is_linear_in_t(run, networks, sampler, timesteps):
    for seed, network in enumerate(networks):
        x, direction = images(seed), images(seed + 50)[0]

        def along_a_line(x, t, direction=direction):
            return x + 0.2 * t * direction

        degrade = cd.from_function(along_a_line, num_steps=T)
        result = run(sampler, network, degrade, degrade(x, T), timesteps)
        np.testing.assert_allclose(result.x_0, x, atol=5e-6)


@pytest.mark.parametrize("timesteps", STRIDES)
def test_both_algorithms_and_ddim_agree_with_an_estimated_endpoint(networks, timesteps):
    rng = np.random.default_rng(0)
    for network in networks:
        alphas = np.sort(rng.uniform(0.05, 0.99, T))[::-1]
        x_T = images(7)
        noise = cd.gaussian_noise(alphas)

        @jax.jit
        def run(network, noise, x_T):
            alg1, alg2 = (
                sampler(network, noise, x_T, timesteps=timesteps, endpoint="estimated")
                for sampler in (cd.sample_alg1, cd.sample_alg2)
            )
            ddim = cd.sample_ddim(
                network, noise, x_T, key=jax.random.key(0), timesteps=timesteps
            )
            return alg1.x_0, alg2.x_0, ddim.x_0

        alg1, alg2, ddim = run(network, noise, x_T)
        np.testing.assert_allclose(alg1, alg2, atol=2e-5)
        np.testing.assert_allclose(alg1, ddim, atol=2e-5)


CONSISTENT = {
    "nested binary masks": cd.rank_mask(cd.spiral_ranks(SIZE), [5, 9, 14, 20, 30, 50]),
    "area pixelation": cd.pixelate(
        SIZE, [(8, 4), (4, 4), (4, 2), (2, 2), (2, 1), (1, 1)], method="area"
    ),
    "full desaturation": cd.desaturate(schedules.linear_decay(T)),
}


@pytest.mark.parametrize("timesteps", STRIDES)
@pytest.mark.parametrize("sampler", [*EULER, *SECOND_ORDER])
@pytest.mark.parametrize("name", CONSISTENT)
def test_the_observation_is_never_altered(run, networks, name, sampler, timesteps):
    degrade = CONSISTENT[name]
    for seed, network in enumerate(networks):
        x = images(seed)
        x_T = degrade(x, T)
        x_0 = run(sampler, network, degrade, x_T, timesteps).x_0
        assert np.abs(x_0 - x).max() > 0.1
        np.testing.assert_allclose(degrade(x_0, T), x_T, atol=5e-6)


@pytest.mark.parametrize("name", CONSISTENT)
def test_these_degradations_absorb_weaker_ones(name):
    # D(D(x, s), T) = D(x, T), the condition of the guarantee.
    degrade, x = CONSISTENT[name], images(0)
    for s in range(T + 1):
        np.testing.assert_allclose(degrade(degrade(x, s), T), degrade(x, T), atol=2e-6)
