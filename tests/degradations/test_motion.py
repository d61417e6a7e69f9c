"""motion_blur against its definition in SciPy."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
import scipy.ndimage

from colddiff_jax import motion_blur


def definition(x, length, angle, num_points, padding):
    """Averages bilinear samples along a line, for one image in float64."""
    mode = {"circular": "grid-wrap", "reflect": "mirror"}[padding]
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]].astype(float)
    total = np.zeros_like(x)
    for i in range(num_points):
        s = (i + 0.5) / num_points - 0.5
        positions = (
            rows - s * length * np.sin(np.deg2rad(angle)),
            columns - s * length * np.cos(np.deg2rad(angle)),
        )
        for c in range(x.shape[2]):
            total[..., c] += scipy.ndimage.map_coordinates(
                x[..., c], positions, order=1, mode=mode
            )
    return total / num_points


@hypothesis.settings(deadline=None, max_examples=10, derandomize=True)
@hypothesis.given(
    st.integers(3, 12),
    st.integers(3, 12),
    st.integers(1, 4),
    st.lists(st.floats(0, 1), min_size=1, max_size=3).map(sorted),
    st.floats(-180, 180),
    st.sampled_from(["circular", "reflect"]),
)
def test_motion_blur_matches_its_definition(
    height, width, channels, fractions, angle, padding
):
    lengths = [fraction * min(height, width) for fraction in fractions]
    x = np.random.default_rng(0).uniform(-1, 1, (1, height, width, channels))
    degrade = motion_blur((height, width), lengths, angle=angle, padding=padding)
    num_points = 2 * min(height, width) + 1
    for t, length in enumerate(lengths, start=1):
        expected = definition(x[0], length, angle, num_points, padding)
        x_t = degrade(x.astype(np.float32), t)[0]
        np.testing.assert_allclose(x_t, expected, atol=1e-5)


def test_each_example_uses_its_own_random_angle(photos):
    lengths = [4.0, 9.0]
    degrade = motion_blur(32, lengths).bind(jax.random.key(0), photos.shape)
    angles = np.rad2deg(np.asarray(degrade.angles, np.float64))
    assert (angles >= 0).all() and (angles < 180).all()
    for i, angle in enumerate(angles):
        single = motion_blur(32, lengths, angle=float(angle))(photos[i : i + 1], 2)
        np.testing.assert_allclose(degrade(photos, 2)[i : i + 1], single, atol=1e-5)


def test_horizontal_motion_mixes_pixels_only_within_rows():
    x = np.zeros((1, 8, 8, 1), np.float32)
    x[0, 3, 4] = 1
    x_t = np.asarray(motion_blur(8, [4], angle=0)(x, 1))[0, ..., 0]
    np.testing.assert_allclose(x_t.sum(), 1, atol=1e-6)
    np.testing.assert_allclose(np.delete(x_t, 3, axis=0), 0, atol=1e-6)
    assert (x_t[3, 3:6] > 0.1).all()
    rotated = np.asarray(motion_blur(8, [4], angle=90)(x.swapaxes(1, 2), 1))
    np.testing.assert_allclose(rotated[0, ..., 0].T, x_t, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [9]}, r"lengths must be in 0\.\.8, the shorter side, .* = 9"),
        ({"lengths": [-1]}, r"lengths must be in 0\.\.8"),
        ({"lengths": [3, 2]}, "lengths must not decrease"),
        ({"angle": "left"}, 'angle must be "random" or a finite number of degrees'),
        ({"angle": np.nan}, 'angle must be "random" or a finite number .* got nan'),
        ({"padding": "zero"}, "padding must be one of .* got 'zero'"),
        ({"image_size": 1}, "images must have at least 2 x 2 pixels, got 1"),
    ],
)
def test_invalid_arguments_raise(arguments, message):
    arguments = {"image_size": 8, "lengths": [2.0]} | arguments
    with pytest.raises(ValueError, match=message):
        motion_blur(**arguments)
