"""The schedules of the paper."""

import numpy as np
import pytest

from colddiff_jax import schedules


def test_published_schedules_have_their_published_ends():
    cifar = schedules.linear(50, start=0.35, increment=0.01)
    celeba = schedules.exponential(200, rate=0.01)
    mask = schedules.linear(50, start=1.1, increment=0.1)
    np.testing.assert_allclose(cifar[[0, -1]], [0.35, 0.84])
    np.testing.assert_allclose(celeba[[0, -1]], [1.0, 7.32], atol=5e-3)
    np.testing.assert_allclose(mask[[0, -1]], [1.1, 6.0])
    np.testing.assert_array_equal(schedules.constant(20, value=7.0), np.full(20, 7.0))


@pytest.mark.parametrize("num_steps", [0, -3, 2.0, "20"])
def test_a_bad_number_of_steps_is_named(num_steps):
    with pytest.raises(ValueError, match="num_steps must be a positive integer, got"):
        schedules.constant(num_steps, value=1.0)
