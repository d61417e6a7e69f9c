"""desaturate and fade against the official code and step-by-step application."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from colddiff_jax import desaturate, fade, schedules


def test_desaturate_matches_the_recorded_steps(golden, photos):
    name = "desaturate/Linear/T20_total1"
    degrade = desaturate(schedules.linear_decay(20))
    for t, recorded in zip(golden[f"{name}/t"], golden[f"{name}/x_t"], strict=True):
        np.testing.assert_allclose(degrade(photos, int(t)), recorded, atol=2e-5, rtol=0)


@hypothesis.settings(deadline=None, max_examples=40, derandomize=True)
@hypothesis.given(
    hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)),
    st.integers(1, 5),
    st.integers(1, 9),
)
def test_closed_forms_match_step_by_step_application(factors, channels, side):
    # The official code mixes with a factor at each step; `keep` is their product.
    x = np.random.default_rng(0).uniform(-1, 1, (1, side, side + 1, channels))
    keep = np.cumprod(factors)
    colour, image = x, x
    for t, factor in enumerate(factors, start=1):
        colour = factor * colour + (1 - factor) * colour.mean(-1, keepdims=True)
        image = factor * image
        as_float = x.astype(np.float32)
        np.testing.assert_allclose(desaturate(keep)(as_float, t), colour, atol=1e-6)
        np.testing.assert_allclose(fade(keep)(as_float, t), image, atol=1e-6)


def test_linear_schedule_removes_equal_fractions_of_the_colour():
    # Its step factors are e_i = 1 - (1 / T) / r_i with r_{i + 1} = r_i e_i.
    fraction, fractions = 1.0, []
    for _ in range(20):
        fraction *= 1 - (1 / 20) / fraction
        fractions.append(fraction)
    np.testing.assert_allclose(schedules.linear_decay(20), fractions, atol=1e-12)


def test_full_desaturation_is_grey_and_keeps_grey_images(photos):
    constant = schedules.exponential_decay(5, factor=0.9, to_zero=True)
    np.testing.assert_allclose(constant[:4], 0.9 ** np.arange(1, 5))
    grey = np.asarray(desaturate(constant)(photos, 5))
    mean = photos.mean(-1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(grey, np.broadcast_to(mean, photos.shape), atol=1e-6)
    np.testing.assert_allclose(desaturate(constant)(grey, 3), grey, atol=1e-6)


@pytest.mark.parametrize("factory", [desaturate, fade])
def test_invalid_arguments_raise(factory):
    with pytest.raises(
        ValueError, match=r"keep must be in \[0, 1\] and finite, got keep\[1\] = 1.5"
    ):
        factory([1.0, 1.5])
    with pytest.raises(
        ValueError, match=r"keep must not increase .* keep\[2\] = 0.6 after 0.5"
    ):
        factory([0.9, 0.5, 0.6])
    with pytest.raises(ValueError, match="keep must list one number per step"):
        factory([])
