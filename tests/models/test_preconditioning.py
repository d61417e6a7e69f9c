"""Scales measured on data, and the preconditioned network."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.models import preconditioning
from colddiff_jax.models.preconditioning import (
    Preconditioned,
    Scales,
    measure_scales,
    velocity_scales,
)
from tests.networks import random_parameters, tiny_unet

SIZE = 16


@pytest.fixture(scope="module")
def degrade():
    stds = cd.schedules.constant(num_steps=6, value=1.5)
    return cd.gaussian_blur(SIZE, stds, kernel_size=5)


@pytest.fixture(scope="module")
def x_0(photos):
    return photos[:, :SIZE, :SIZE]


def test_scales_match_the_moments_of_the_data(degrade, x_0):
    scales = measure_scales(degrade, x_0, noise=0.1)
    rng = np.random.default_rng(0)
    for t in (1, 6):
        clean = np.asarray(x_0, np.float64)
        x_t = np.asarray(degrade(x_0, t), np.float64)
        # Many noise draws stand in for the expectation.
        noise = 0.1 * rng.standard_normal((4000, *x_t.shape[1:]))
        noisy = x_t[np.arange(4000) % 4] + noise
        clean = clean[np.arange(4000) % 4]
        around = noisy - noisy.mean(axis=(1, 2), keepdims=True)
        skip = (clean * noisy).mean() / (noisy**2).mean()
        rest = clean - skip * noisy
        found = [values[t - 1] for values in scales]
        expected = [np.sqrt((around**2).mean()), skip, np.sqrt((rest**2).mean())]
        np.testing.assert_allclose(found, expected, rtol=5e-3)


def test_images_and_tables_are_not_constants_of_the_program():
    # 4 MB of images, and 1 MB of tables for the blur.
    rng = np.random.default_rng(0)
    x_0 = jnp.asarray(rng.uniform(-1, 1, (512, 32, 32, 2)), jnp.float32)
    stds = cd.schedules.constant(num_steps=256, value=1.0)
    degrade = cd.gaussian_blur(32, stds, kernel_size=3)
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(degrade)) >= 2**20
    program = preconditioning._moments.lower(
        degrade, x_0, None, noise=0.1, centered=True, target="clean"
    )
    assert len(program.as_text()) < 2**16


def test_scales_are_those_of_what_the_network_is_given(degrade, x_0):
    doubled = jax.tree_util.Partial(lambda x_t, t: 2 * x_t)
    plain = measure_scales(degrade, x_0)
    scales = measure_scales(degrade, x_0, observed=doubled)
    np.testing.assert_allclose(scales.input, 2 * np.array(plain.input), rtol=1e-5)
    np.testing.assert_allclose(scales.skip, np.array(plain.skip) / 2, rtol=1e-5)
    np.testing.assert_allclose(scales.output, plain.output, rtol=1e-5)


def test_scales_for_the_step_before_are_those_of_its_regression_on_x_t(degrade, x_0):
    """c = E y x_t / E x_t^2 and r^2 = E (y - c x_t)^2, with y = A_{t-1} x_0."""
    noisy = cd.noisy(degrade, 6 * [0.05]).bind(jax.random.key(0), x_0.shape)
    scales = measure_scales(noisy, x_0, target="previous")
    clean = measure_scales(noisy, x_0)
    assert scales.input == clean.input
    for t in (1, 2, 6):
        x_t, y = np.asarray(noisy(x_0, t)), np.asarray(degrade(x_0, t - 1))
        skip = (y * x_t).mean() / (x_t**2).mean()
        rest = np.sqrt(((y - skip * x_t) ** 2).mean())
        found = (scales.skip[t - 1], scales.output[t - 1])
        np.testing.assert_allclose(found, (skip, rest), rtol=1e-4)
        assert abs(skip - 1) < 0.1  # R starts near x_t.
    assert scales.output[5] < clean.output[5] / 2


def test_the_skip_scale_minimises_the_error(degrade, x_0):
    scales = measure_scales(degrade, x_0)
    x_t = degrade(x_0, 4)

    def error(multiple):
        return float(jnp.sqrt(jnp.square(x_0 - multiple * x_t).mean()))

    best = error(scales.skip[3])
    assert best == pytest.approx(scales.output[3], rel=1e-5)
    assert best < min(error(scales.skip[3] + d) for d in (-0.01, 0.01))


def test_scales_are_at_least_one_level_of_an_8_bit_image():
    flat = jnp.ones((2, SIZE, SIZE, 1))
    stds = cd.schedules.constant(num_steps=3, value=1.0)
    degrade = cd.gaussian_blur(SIZE, stds, kernel_size=3, to_mean=True)
    scales = measure_scales(degrade, flat)
    assert scales.input == scales.output == (2 / 255,) * 3
    np.testing.assert_allclose(scales.skip, 1.0, rtol=1e-6)


def test_a_mid_grey_endpoint_has_finite_scales(x_0):
    scales = measure_scales(cd.fade(cd.schedules.linear_decay(4)), x_0)
    assert np.isfinite(scales).all() and scales.skip[-1] == 0
    assert scales.output[-1] == pytest.approx(np.sqrt((x_0**2).mean()), rel=1e-5)


def test_network_inputs_have_unit_deviation_around_each_images_mean(degrade, x_0):
    scales = measure_scales(degrade, x_0)
    model = Preconditioned(tiny_unet(), scales)
    network = tiny_unet()
    params = random_parameters(network, x_0.shape[1:])
    for steps in (6, 1):
        t = jnp.full(len(x_0), steps)
        x_t = degrade(x_0, t)
        mean = x_t.mean(axis=(1, 2), keepdims=True)
        scaled = (x_t - mean) / scales.input[steps - 1] + mean
        assert abs(float((scaled - mean).std()) - 1) < 1e-3
        answer = network.apply({"params": params}, scaled, t)
        expected = scales.skip[steps - 1] * x_t + scales.output[steps - 1] * answer
        found = model.apply({"params": {"network": params}}, x_t, t)
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_local_network_is_scaled_around_zero(degrade, x_0):
    scales = measure_scales(degrade, x_0, centered=False)
    x_t = degrade(x_0, 6)
    assert scales.input[5] == pytest.approx(np.sqrt((x_t**2).mean()), rel=1e-5)
    network = tiny_unet(local=True)
    params = random_parameters(network, x_0.shape[1:])
    t = jnp.full(len(x_0), 6)
    answer = network.apply({"params": params}, x_t / scales.input[5], t)
    expected = scales.skip[5] * x_t + scales.output[5] * answer
    model = Preconditioned(network, scales)
    found = model.apply({"params": {"network": params}}, x_t, t)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_preconditioned_network_accepts_labels_and_dropout_keys(x_0):
    model = Preconditioned(tiny_unet(num_classes=3), Scales((1.0,), (0.0,), (1.0,)))
    assert model.num_classes == 3
    params = random_parameters(model, x_0.shape[1:])
    t, apply = jnp.ones(4, jnp.int32), jax.jit(model.apply)
    one, other = (
        apply({"params": params}, x_0, t, labels=jnp.full(4, label)) for label in (0, 1)
    )
    assert jnp.abs(one - other).max() > 1e-4
    keys = jax.random.split(jax.random.key(0), 4)
    dropped = apply({"params": params}, x_0, t, dropout_keys=keys)
    assert jnp.abs(dropped - apply({"params": params}, x_0, t)).max() > 1e-4


def test_a_network_that_is_the_velocity_restores_the_image():
    fractions = cd.schedules.power(5, exponent=1)
    x_0, z = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 1))
    degrade = cd.blend(1 - fractions, fractions).with_endpoint(z)

    class Velocity(nn.Module):
        def __call__(self, x, t):
            return z - x_0

    model = Preconditioned(Velocity(), velocity_scales(degrade))
    for t in (1, 3, 5):
        steps = jnp.full(3, t)
        found = model.apply({}, degrade(x_0, t), steps)
        np.testing.assert_allclose(found, x_0, atol=1e-6)


def test_the_velocity_of_a_noisy_blend_ends_in_the_noisy_image():
    fractions = cd.schedules.power(5, exponent=1)
    x_0, y, e = jax.random.normal(jax.random.key(0), (3, 3, 8, 8, 1))
    degrade = cd.noisy(
        cd.blend(1 - fractions, fractions, endpoint="image"),
        0.1 * fractions,
        gains=1 - fractions,
    )
    outputs = velocity_scales(degrade).output
    x_t = degrade.with_images(y).with_endpoint(e)(x_0, 3)
    v = y + 0.1 * e - x_0
    np.testing.assert_allclose(x_t + outputs[2] * v, x_0, atol=1e-6)


@pytest.mark.parametrize(
    ("degrade", "message"),
    [
        (cd.noisy(cd.blend([0.5, 0.0], [0.5, 1.0]), [0.1, 0.1]), "in proportion"),
        (cd.noisy(cd.fade([0.5]), [0.1]), r"got noisy\(fade"),
        (cd.gaussian_noise([0.5, 0.1]), r"got gaussian_noise\(T=2\)$"),
        (
            cd.blend([1.0, 0.5], [0.0, 0.5]),
            r"endpoint_weights are positive, .* got blend",
        ),
        (cd.fade([0.5]), r"velocity needs a blend .* got fade\(T=1\)$"),
        (cd.fade_to_color(8, [1.0, 2.0]), "got fade_to_color"),
    ],
)
def test_a_velocity_needs_a_blend_of_weights_that_add_up_to_1(degrade, message):
    with pytest.raises(ValueError, match=message):
        velocity_scales(degrade)
