"""The training objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import gaussian_blur, noisy, restoration_loss
from colddiff_jax.losses import l1, l2, pseudo_huber


def test_default_loss_is_the_mean_absolute_error_per_example(photos):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    t = jnp.array([1, 3, 2, 1])
    loss = restoration_loss(lambda x_t, t: 0.5 * x_t, degrade, photos, t)
    for b in range(4):
        x_t = degrade(photos[b : b + 1], int(t[b]))
        np.testing.assert_allclose(
            loss[b], np.abs(0.5 * x_t[0] - photos[b]).mean(), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (l1(), lambda d: np.abs(d)),
        (l2(), lambda d: d**2),
        (pseudo_huber(scale=0.1), lambda d: np.sqrt(d**2 + 0.01) - 0.1),
    ],
)
def test_distance_can_be_chosen(photos, distance, expected):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    loss = restoration_loss(
        lambda x_t, t: jnp.zeros_like(x_t),
        degrade,
        photos,
        jnp.ones(4, jnp.int32),
        distance=distance,
    )
    np.testing.assert_allclose(loss, expected(photos).mean((1, 2, 3)), rtol=1e-5)


def test_the_target_can_be_the_step_before_without_its_noise(photos):
    """L_b = mean (R(D(x, t), t) - A_{t-1} x)^2, with D(x, t) = A_t x + sigma_t z."""
    blur = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    degrade = noisy(blur, [0.1, 0.2, 0.3]).bind(jax.random.key(0), photos.shape)
    t = jnp.array([1, 3, 2, 1])
    loss = restoration_loss(
        lambda x_t, t: 0.5 * x_t, degrade, photos, t, distance=l2(), target="previous"
    )
    for b, step in enumerate(t.tolist()):
        std = [0.1, 0.2, 0.3][step - 1]
        x_t = blur(photos, step)[b] + std * degrade.endpoint[b]
        y = blur(photos, step - 1)[b]
        np.testing.assert_allclose(loss[b], ((0.5 * x_t - y) ** 2).mean(), rtol=1e-5)


def test_pseudo_huber_is_quadratic_near_zero_and_linear_far_away():
    distance = pseudo_huber(scale=0.1)
    np.testing.assert_allclose(distance(jnp.float32(0.01)), 0.01**2 / 0.2, rtol=0.01)
    np.testing.assert_allclose(distance(jnp.float32(-100.0)), 99.9, rtol=1e-5)
    for scale in (0, -1.0):
        with pytest.raises(ValueError, match="scale must be positive, got"):
            pseudo_huber(scale=scale)


def test_perfect_restorer_has_zero_loss(photos):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    t = jnp.array([1, 3, 2, 1])
    loss = restoration_loss(lambda x_t, t: jnp.asarray(photos), degrade, photos, t)
    np.testing.assert_array_equal(loss, 0)


def test_mismatched_shapes_raise(photos):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    with pytest.raises(AssertionError):
        restoration_loss(lambda x_t, t: x_t, degrade, photos, jnp.int32(1))
    with pytest.raises(AssertionError):
        restoration_loss(
            lambda x_t, t: x_t[..., :1], degrade, photos, jnp.ones(4, jnp.int32)
        )


def test_predictions_can_be_compared_after_the_degradation(photos):
    """L_b = mean (A_t R(x_t, t) - A_t x)^2, whatever the noise of x_t."""
    blur = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    degrade = noisy(blur, [0.1, 0.2, 0.3]).bind(jax.random.key(0), photos.shape)
    t = jnp.array([1, 3, 2, 1])
    loss = restoration_loss(
        lambda x_t, t: 0.5 * photos[::-1], degrade, photos, t, distance=l2(),
        compare="degraded",
    )  # fmt: skip
    for b, step in enumerate(t.tolist()):
        error = blur(0.5 * photos[::-1] - photos, step)[b]
        np.testing.assert_allclose(loss[b], (error**2).mean(), rtol=1e-4)
