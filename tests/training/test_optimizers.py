"""Optimizers, and the decay of the moving average."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from colddiff_jax.training.optimizers import make_optimizer, periodic_ema, warmup_ema


def constant(**arguments):
    """Returns an optimizer with a constant learning rate."""
    return make_optimizer(warmup_steps=0, **arguments)


def test_a_constant_rate_is_the_published_adam():
    ours = constant(learning_rate=2e-5)
    params, gradient = jnp.array([1.0, -2.0]), jnp.array([0.3, -1e-9])
    state, published = ours.init(params), optax.adam(2e-5, 0.9, 0.999, 1e-8)
    expected, expected_state = params, published.init(params)
    for _ in range(3):
        updates, state = ours.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        updates, expected_state = published.update(gradient, expected_state, expected)
        expected = optax.apply_updates(expected, updates)
    np.testing.assert_array_equal(params, expected)


def learning_rates(num_steps, **arguments):
    optimizer = make_optimizer(**arguments)
    state = optimizer.init(jnp.ones(()))
    for _ in range(num_steps):
        update, state = optimizer.update(jnp.ones(()), state)
        yield -float(update)  # Adam's update for a constant gradient is the rate.


def test_the_rate_warms_up_and_decays_to_zero():
    warm = list(learning_rates(6, learning_rate=1.0, warmup_steps=4))
    np.testing.assert_allclose(warm, [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-5)
    cosine = list(learning_rates(9, learning_rate=1.0, warmup_steps=4, decay_steps=8))
    np.testing.assert_allclose(
        cosine, [0, 0.25, 0.5, 0.75, 1, 0.853553, 0.5, 0.146447, 0], atol=1e-5
    )


def test_the_default_rate_warms_up_to_2e_4_in_1000_steps():
    rates = list(learning_rates(3))
    np.testing.assert_allclose(rates, [0, 2e-7, 4e-7], rtol=1e-4)


def test_a_decay_that_ends_before_the_warm_up_raises():
    message = "decay_steps must be 0 or greater than warmup_steps = 10, got 5"
    with pytest.raises(ValueError, match=message):
        make_optimizer(learning_rate=1.0, warmup_steps=10, decay_steps=5)


def test_weight_decay_is_adamw_on_kernels_alone():
    optimizer = constant(learning_rate=0.1, weight_decay=0.5)
    params = {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)}
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5 * 2.0)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_gradients_are_clipped_to_the_norm_before_adam_sees_them():
    optimizer = constant(learning_rate=1.0, clip_norm=1.0)
    plain = constant(learning_rate=1.0)
    params = jnp.zeros(2)
    state, plain_state = optimizer.init(params), plain.init(params)
    for gradient, clipped in (([30.0, 40.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4])):
        found, state = optimizer.update(jnp.array(gradient), state, params)
        expected, plain_state = plain.update(jnp.array(clipped), plain_state, params)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_negative_options_raise():
    for name in ("weight_decay", "clip_norm"):
        with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
            make_optimizer(**{name: -1.0})


def test_the_published_average_copies_then_averages_every_tenth_step():
    decay = periodic_ema(decay=0.995, every=10, start=2000)
    steps = jnp.array([0, 1, 9, 10, 1990, 1999, 2000, 2001, 2010])
    expected = [0, 1, 1, 0, 0, 1, 0.995, 1, 0.995]
    np.testing.assert_allclose(decay(steps), expected)


def test_the_average_with_warm_up_lengthens_its_memory():
    decay = warmup_ema(decay=0.999)
    np.testing.assert_allclose(decay(jnp.array([0, 90, 10**6])), [0.1, 0.91, 0.999])
