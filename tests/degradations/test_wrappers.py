"""compose and quantize."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import (
    compose,
    desaturate,
    fade,
    from_function,
    gaussian_blur,
    gaussian_mask,
    gaussian_noise,
    quantize,
    schedules,
)


def test_members_are_applied_in_order_at_scaled_steps(photos):
    blur = gaussian_blur(32, 4 * [1.0], kernel_size=5)
    grey = desaturate(schedules.linear_decay(10))
    mask = gaussian_mask(32, 5 * [3.0])
    degrade = compose(blur, grey, mask)
    assert degrade.num_steps == 10
    for t in range(1, 11):
        # Rounded half up: 5 / 10 of 5 steps is step 3.
        blur_step, mask_step = int(t * 4 / 10 + 0.5), int(t * 5 / 10 + 0.5)
        expected = mask(grey(blur(photos, blur_step), t), mask_step)
        np.testing.assert_allclose(degrade(photos, t), expected, atol=1e-6)
    last = mask(grey(blur(photos, 4), 10), 5)
    np.testing.assert_allclose(degrade(photos, 10), last, atol=1e-6)


def test_scaled_steps_are_exact_for_many_steps():
    long, short = fade(np.linspace(1, 0, 40_000)), fade([0.5, 0.25, 0.0])
    degrade = compose(long, short)
    x = jnp.ones((1, 2, 2, 1))
    for t, step in ((6_000, 0), (7_000, 1), (20_000, 2), (34_000, 3), (40_000, 3)):
        expected = long(x, t) * short(x, step)
        np.testing.assert_allclose(degrade(x, t), expected, atol=1e-6)


def test_members_draw_independently(photos):
    noise = gaussian_noise([0.5])
    degrade = compose(noise, noise).bind(jax.random.key(0), photos.shape)
    first, second = (np.asarray(m.endpoint) for m in degrade.degradations)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_compositions_can_be_nested(photos):
    shrink = fade([0.5])
    degrade = compose(compose(shrink, shrink), shrink)
    np.testing.assert_allclose(degrade(photos, 1), photos / 8, atol=1e-6)


def test_quantize_truncates_to_8_bits_like_the_official_code(photos):
    plain = fade([0.9, 0.77])
    degrade = quantize(plain)
    for t in (1, 2):
        x_t = np.asarray(plain(photos, t))
        expected = ((x_t + 1) / 2 * 255).astype(int) / 255 * 2 - 1
        np.testing.assert_allclose(degrade(photos, t), expected, atol=1e-6)
    error = np.asarray(degrade(photos, 2) - plain(photos, 2))
    assert error.min() > -2 / 255 - 1e-6 and error.max() < 1e-6
    np.testing.assert_allclose(error.mean(), -1 / 255, rtol=0.1)
    np.testing.assert_allclose(error.std(), 0.0023, atol=2e-4)


def test_quantize_binds_the_wrapped_degradation(photos):
    noise = gaussian_noise([0.5])
    bound = quantize(noise).bind(jax.random.key(0), photos.shape)
    inner = noise.bind(jax.random.key(0), photos.shape)
    assert np.abs(np.asarray(bound(photos, 1) - inner(photos, 1))).max() < 2.01 / 255


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="compose needs at least one degradation"):
        compose()
    with pytest.raises(TypeError, match="compose takes degradations, got <function"):
        compose(fade([0.5]), lambda x, t: x)
    for invalid in (3, type(fade([0.5]))):
        with pytest.raises(TypeError, match="quantize takes degradations, got"):
            quantize(invalid)
    assert compose(from_function(lambda x, t: x * 0, 2)).num_steps == 2
    with pytest.raises(ValueError, match=r"t must lie in 0\.\.1, got 2"):
        compose(fade([0.5]))(jnp.zeros((1, 4, 4, 1)), 2)
