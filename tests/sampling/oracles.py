"""What the tests of published formulas share."""

import jax
import jax.numpy as jnp
import numpy as np

SHAPE = (3, 8, 8, 2)


def key():
    return jax.random.key(5)


def single(x):
    return jnp.asarray(x, jnp.float32)


def check(found, expected):
    """Compares with a relative error of 1e-6 of the largest value."""
    error = np.abs(np.asarray(found, np.float64) - expected).max()
    assert error <= 1e-6 * np.abs(expected).max()
