"""Every implementation of the depthwise convolution and its gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax.models import depthwise

SHAPES = [(2, 9, 12, 5, 7), (1, 4, 3, 2, 7), (3, 1, 8, 1, 3), (2, 5, 5, 3, 1)]
IMPLEMENTATIONS = {
    "shift_and_add": (depthwise.shift_and_add, depthwise.shift_and_add_gradients),
    "grouped_conv": (depthwise.grouped_conv, depthwise.grouped_conv_gradients),
}


def draw(batch, height, width, channels, size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, height, width, channels))
    return x, rng.normal(size=(size, size, channels)), rng.normal(size=x.shape)


def by_definition(x, kernel):
    """The sum in the definition, float64, tap by tap."""
    size, (height, width) = len(kernel), x.shape[1:3]
    y = np.zeros_like(x)
    for i, j in np.ndindex(size, size):
        for h, w in np.ndindex(height, width):
            row, column = h + i - size // 2, w + j - size // 2
            if 0 <= row < height and 0 <= column < width:
                y[:, h, w] += kernel[i, j] * x[:, row, column]
    return y


def finite_differences(function, at, weights):
    """Central differences of sum(weights * function(at)), one entry at a time."""
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-3
        difference = function(at + step) - function(at - step)
        gradient[index] = np.sum(weights * difference) / 2e-3
    return gradient


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_every_implementation_matches_the_definition(name, shape):
    x, kernel, _ = draw(*shape)
    found = IMPLEMENTATIONS[name][0](jnp.float32(x), jnp.float32(kernel))
    np.testing.assert_allclose(found, by_definition(x, kernel), atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_gradients_match_finite_differences(name, shape):
    x, kernel, g = draw(*shape)
    found = IMPLEMENTATIONS[name][1](*map(jnp.float32, (x, kernel, g)))
    x_gradient = finite_differences(lambda x: by_definition(x, kernel), x, g)
    kernel_gradient = finite_differences(
        lambda kernel: by_definition(x, kernel), kernel, g
    )
    np.testing.assert_allclose(found[0], x_gradient, atol=3e-5)
    np.testing.assert_allclose(found[1], kernel_gradient, atol=3e-5)


def test_gradients_match_automatic_differentiation():
    x, kernel, g = map(jnp.float32, draw(*SHAPES[0]))
    expected = jax.vjp(depthwise.shift_and_add, x, kernel)[1](g)
    for gradients in (
        jax.vjp(depthwise.depthwise_conv, x, kernel)[1](g),
        jax.jit(depthwise.shift_and_add_gradients)(x, kernel, g),
        depthwise.grouped_conv_gradients(x, kernel, g),
    ):
        chex.assert_trees_all_close(gradients, expected, atol=1e-4)


def test_supports_vmap_rematerialisation_and_second_derivatives():
    x, kernel, _ = map(jnp.float32, draw(*SHAPES[0]))

    def loss(function):
        return lambda kernel, x: jnp.sin(function(x, kernel)).sum()

    ours, derived = loss(depthwise.depthwise_conv), loss(depthwise.grouped_conv)
    per_image = jax.vmap(jax.grad(jax.checkpoint(ours)), (None, 0))
    expected = jax.vmap(jax.grad(derived), (None, 0))(kernel, x[:, None])
    chex.assert_trees_all_close(per_image(kernel, x[:, None]), expected, atol=1e-4)

    def curvature(loss):
        return jax.grad(lambda kernel: (jax.grad(loss)(kernel, x) ** 2).sum())(kernel)

    chex.assert_trees_all_close(curvature(ours), curvature(derived), rtol=1e-3)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_bfloat16_stays_bfloat16_and_is_accurate(name):
    # At most one rounding of 2^-9 per product: sums are computed in float32.
    x, kernel, g = draw(4, 16, 16, 3, 7)
    half = [jnp.bfloat16(array) for array in (x, kernel, g)]
    forward, gradients = IMPLEMENTATIONS[name]
    found = (forward(*half[:2]), *gradients(*half))
    exact = [array.astype(jnp.float32) for array in half]
    expected = (forward(*exact[:2]), *gradients(*exact))
    for ours, full in zip(found, expected, strict=True):
        assert ours.dtype == jnp.bfloat16
        error = np.linalg.norm(ours.astype(jnp.float32) - full)
        assert error < 0.004 * np.linalg.norm(full)
