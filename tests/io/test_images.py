"""Conversion between uint8 and float images."""

import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import to_float, to_uint8
from colddiff_jax.io.images import as_saved


def test_every_uint8_value_survives_the_round_trip():
    values = np.arange(256, dtype=np.uint8)
    floats = to_float(values)
    assert floats.dtype == jnp.float32
    np.testing.assert_allclose(floats, values / 255 * 2 - 1, atol=1e-6)
    np.testing.assert_array_equal(to_uint8(floats), values)


def test_values_out_of_range_are_clipped():
    np.testing.assert_array_equal(
        to_uint8(np.array([-3.0, -1.0, 1.0, 1.7])), [0, 0, 255, 255]
    )


def test_as_saved_equals_saving_and_loading():
    floats = np.random.default_rng(0).uniform(-1.2, 1.2, 10_000).astype(np.float32)
    saved = to_float(to_uint8(floats))
    np.testing.assert_allclose(as_saved(floats), saved, atol=1e-6)
    np.testing.assert_allclose(jax.jit(as_saved)(floats), saved, atol=1e-6)
