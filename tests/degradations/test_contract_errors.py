"""Invalid calls of any degradation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.degradations.cases import ANY_SIZE, RANDOM


def test_invalid_calls_raise(degrade, photos):
    with pytest.raises(ValueError, match=r"t must lie in 0\.\.6, got 7"):
        degrade(photos, 7)
    with pytest.raises(ValueError, match=r"t must lie in 0\.\.6"):
        degrade(photos, jnp.array([0, 1, -1, 2]))
    for t, dtype in ((1.0, "float64"), (jnp.ones(4), "float32"), ("a", "<U1")):
        with pytest.raises(TypeError, match=f"t must be an integer, got .*{dtype}"):
            degrade(photos, t)
    with pytest.raises(TypeError, match="t must be an integer, got dtype float32"):
        jax.jit(lambda t: degrade(photos, t))(1.0)
    with pytest.raises(ValueError, match=r"one value per example, shape \(4,\)"):
        degrade(photos, jnp.array([1, 2]))
    with pytest.raises(TypeError, match=r"images must be floating point .* uint8"):
        degrade((photos * 0).astype(np.uint8), 1)
    with pytest.raises(ValueError, match=r"shape \[B, H, W, C\], got \(32, 32, 3\)"):
        degrade(photos[0], 1)


def test_unbound_random_degradation_raises(name, make, photos):
    if name not in RANDOM:
        return
    fix = r"not been drawn yet; call degrade = degrade\.bind\(key, x\.shape\)"
    with pytest.raises(ValueError, match=fix):
        make()(photos, 1)
    bound = make().bind(jax.random.key(0), (3, 32, 32, 3))
    with pytest.raises(ValueError, match="bound to 3 examples, got 4"):
        bound(photos, 1)


def test_wrong_image_size_raises(name, make):
    degrade = make().bind(jax.random.key(0), (4, 16, 16, 3))
    if name.split(":")[0] in ANY_SIZE:
        assert degrade(jnp.zeros((4, 16, 16, 3)), 1).shape == (4, 16, 16, 3)
        return
    message = (
        r"the endpoint must have the shape of the images, \(4, 16, 16, 3\)"
        if name.startswith("animorph")
        else r"made for images of 32 x 32 pixels, got x of shape \(4, 16, 16, 3\)"
    )
    with pytest.raises(ValueError, match=message):
        degrade(jnp.zeros((4, 16, 16, 3)), 1)


def test_invalid_key_raises(name, make, photos):
    if name not in RANDOM:
        return
    for key in (0, None, np.zeros(2, np.uint32)):
        with pytest.raises(TypeError, match=r"key must be a jax.random.key\(seed\)"):
            make().bind(key, photos.shape)
