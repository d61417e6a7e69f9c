"""Choosing the steps that a sampler visits."""

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import schedules
from colddiff_jax.sampling import (
    equal_change,
    equal_log_severity,
    equal_stride,
    measured_severity,
)


@hypothesis.settings(deadline=None, max_examples=100, derandomize=True)
@hypothesis.given(st.integers(1, 60), st.data())
def test_steps_decrease_strictly_from_the_last_one_to_zero(num_steps, data):
    num_calls = data.draw(st.integers(1, num_steps))
    severities = np.sort(
        data.draw(st.lists(st.floats(0.01, 50), min_size=num_steps, max_size=num_steps))
    )
    for steps in (
        equal_stride(num_steps, num_calls=num_calls),
        equal_log_severity(severities, num_calls=num_calls),
    ):
        assert steps.dtype == np.int32 and len(steps) == num_calls + 1
        assert steps[0] == num_steps and steps[-1] == 0
        assert (np.diff(steps) < 0).all()


def test_as_many_calls_as_steps_visit_every_step():
    every = np.arange(9, -1, -1)
    np.testing.assert_array_equal(equal_stride(9, num_calls=9), every)
    np.testing.assert_array_equal(
        equal_log_severity(schedules.exponential(9, rate=0.5), num_calls=9), every
    )


def test_strides_are_equal():
    np.testing.assert_array_equal(equal_stride(20, num_calls=4), [20, 15, 10, 5, 0])
    assert set(np.diff(equal_stride(200, num_calls=7))) <= {-28, -29}


def test_severities_have_equal_ratios():
    severities = schedules.geometric(101, start=0.01, stop=100.0)
    steps = equal_log_severity(severities, num_calls=5)
    np.testing.assert_array_equal(steps, [101, 76, 51, 26, 1, 0])
    linear = np.arange(1.0, 1025.0)
    steps = equal_log_severity(linear, num_calls=11)
    np.testing.assert_array_equal(steps[:-1], 2 ** np.arange(10, -1, -1))


def test_changes_are_equal(photos):
    # A fading image changes in proportion to the fraction that it loses.
    keep = np.cos(np.linspace(0, np.pi / 2, 101))[1:]
    steps = equal_change(cd.fade(keep), photos, num_calls=5)
    fraction = np.concatenate([[1.0], keep])[steps]
    np.testing.assert_allclose(np.diff(fraction), 0.2, atol=0.02)
    few = equal_change(cd.gaussian_blur(32, 40 * [1.0], kernel_size=5), photos,
                       num_calls=4)  # fmt: skip
    assert few[1] < 20  # Blur changes images most in the first steps.


def test_changes_are_equal_from_a_given_start(photos):
    keep = np.cos(np.linspace(0, np.pi / 2, 101))[1:]
    steps = equal_change(cd.fade(keep), photos, num_calls=3, start=60)
    fraction = np.concatenate([[1.0], keep])[steps]
    assert steps[0] == 60
    np.testing.assert_allclose(np.diff(fraction), (1 - keep[59]) / 3, atol=0.02)
    with pytest.raises(ValueError, match=r"start must be an integer in 1\.\.100, got"):
        equal_change(cd.fade(keep), photos, num_calls=3, start=101)


def test_severity_is_the_distance_from_the_clean_images(photos):
    keep = np.linspace(1, 0, 11)[1:]
    severity = measured_severity(cd.fade(keep), photos)
    expected = (1 - keep) * np.sqrt(np.mean(photos**2))
    np.testing.assert_allclose(severity, expected, rtol=1e-5)
    not_monotonic = cd.from_function(lambda x, t: x + jnp.sin(1.0 * t), num_steps=3)
    severity = measured_severity(not_monotonic, photos)
    np.testing.assert_allclose(severity, np.sin([1, 2, 2]), rtol=1e-5)


def test_samplers_accept_the_chosen_steps(photos):
    degrade = cd.fade(schedules.linear_decay(20))
    for steps in (
        equal_stride(20, num_calls=3),
        equal_change(degrade, photos, num_calls=3),
    ):
        result = cd.sample_alg2(
            lambda x_t, t: jnp.asarray(photos), degrade, 0 * photos, timesteps=steps
        )
        np.testing.assert_allclose(result.x_0, photos, atol=1e-6)


@pytest.mark.parametrize("num_calls", [0, 21, 2.0, "3"])
def test_a_wrong_number_of_calls_raises(num_calls, photos):
    degrade = cd.fade(schedules.linear_decay(20))
    for choose in (
        lambda: equal_stride(20, num_calls=num_calls),
        lambda: equal_log_severity(np.arange(1, 21), num_calls=num_calls),
        lambda: equal_change(degrade, photos, num_calls=num_calls),
    ):
        with pytest.raises(ValueError, match=r"num_calls must be .* in 1\.\.20"):
            choose()


def test_a_plain_function_raises(photos):
    for measure in (measured_severity, lambda *a: equal_change(*a, num_calls=2)):
        with pytest.raises(TypeError, match="a plain function has no num_steps"):
            measure(lambda x, t: x, photos)


def test_numpy_integers_are_integers():
    np.testing.assert_array_equal(equal_stride(20, num_calls=np.int64(2)), [20, 10, 0])


def test_wrong_severities_raise():
    with pytest.raises(ValueError, match="severities must be positive"):
        equal_log_severity([0.0, 1.0], num_calls=1)
    with pytest.raises(ValueError, match="severities must not decrease"):
        equal_log_severity([2.0, 1.0], num_calls=1)
