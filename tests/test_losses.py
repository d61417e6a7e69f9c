"""The training objective."""

import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import gaussian_blur, restoration_loss


def test_it_is_the_mean_absolute_error_of_every_example(photos):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    t = jnp.array([1, 3, 2, 1])
    loss = restoration_loss(lambda x_t, t: 0.5 * x_t, degrade, photos, t)
    for b in range(4):
        x_t = degrade(photos[b : b + 1], int(t[b]))
        np.testing.assert_allclose(
            loss[b], np.abs(0.5 * x_t[0] - photos[b]).mean(), rtol=1e-5
        )


def test_a_perfect_restorer_has_no_loss(photos):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    t = jnp.array([1, 3, 2, 1])
    loss = restoration_loss(lambda x_t, t: jnp.asarray(photos), degrade, photos, t)
    np.testing.assert_array_equal(loss, 0)


def test_shapes_that_do_not_fit_are_refused(photos):
    degrade = gaussian_blur(32, 3 * [1.0], kernel_size=3)
    with pytest.raises(AssertionError):
        restoration_loss(lambda x_t, t: x_t, degrade, photos, jnp.int32(1))
    with pytest.raises(AssertionError):
        restoration_loss(
            lambda x_t, t: x_t[..., :1], degrade, photos, jnp.ones(4, jnp.int32)
        )
