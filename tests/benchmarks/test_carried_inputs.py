"""The walk that carries x_T and the last prediction is Algorithm 2."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from benchmarks.carried_inputs import INPUTS, Carried, walk

X = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1), minval=-1)
BLUR = cd.gaussian_blur(8, 6 * [1.0], kernel_size=3)


@pytest.mark.parametrize("calls", [None, 3])
def test_without_more_inputs_it_is_algorithm_2(calls):
    x_T = BLUR(X, 6)
    found = walk(lambda x, t, **_: 0.5 * x, BLUR, x_T, calls)
    steps = None if calls is None else cd.sampling.equal_stride(6, num_calls=calls)
    expected = cd.sample_alg2(lambda x, t: 0.5 * x, BLUR, x_T, timesteps=steps).x_0
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_network_is_given_the_observation_and_its_last_prediction():
    x_T = BLUR(X, 6)
    seen = []

    def restore_fn(x, t, *, x_T, last):
        jax.debug.callback(lambda *given: seen.append(given), t, x_T, last)
        return jnp.full_like(x, t[0])

    walk(restore_fn, BLUR, x_T, 3)
    jax.effects_barrier()
    seen.sort(key=lambda given: -given[0][0])
    for (t, *images), last in zip(seen, (0, 6, 4), strict=True):
        np.testing.assert_array_equal(images[0], x_T, err_msg=str(t))
        np.testing.assert_array_equal(images[1], last)


class Sum(nn.Module):
    """The sum of all channels, in each of them."""

    def __call__(self, x, t):
        return jnp.broadcast_to(x.sum(axis=-1, keepdims=True), x.shape)


@pytest.mark.parametrize("inputs", INPUTS)
def test_a_network_sees_its_inputs_and_no_others(inputs):
    network = Carried(network=Sum(), inputs=inputs)
    # Images that do not vary are not scaled.
    given = {"x_T": 10 * jnp.ones_like(X), "last": 100 * jnp.ones_like(X)}
    found = network.apply({}, jnp.ones_like(X), jnp.ones(2, jnp.int32), **given)
    expected = sum((1, 10, 100)[: 1 + INPUTS.index(inputs)])
    np.testing.assert_array_equal(found, expected)


def test_an_almost_flat_observation_reaches_the_network_with_unit_deviation():
    flat = 0.3 + 0.02 * X
    network = Carried(network=Last(), inputs="x_t, x_T")
    seen = network.apply({}, jnp.zeros_like(X), jnp.ones(2, jnp.int32), x_T=flat)
    means = flat.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(seen.mean(axis=(1, 2, 3)), means, atol=1e-5)
    np.testing.assert_allclose(seen.std(axis=(1, 2, 3)), 1, rtol=1e-5)


class Last(nn.Module):
    """The last channel."""

    def __call__(self, x, t):
        return x[..., -1:]
