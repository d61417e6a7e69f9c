"""from_function."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from colddiff_jax import InputError, from_function


def test_function_receives_one_image_and_one_step(photos):
    def rows_to_grey(x, t):
        chex.assert_rank([x, t], [3, 0])
        return jnp.where((jnp.arange(32) < t)[:, None, None], 0.0, x)

    degrade = from_function(rows_to_grey, num_steps=32)
    x_t = degrade(photos, jnp.array([0, 1, 5, 32]))
    for image, x, t in zip(x_t, photos, (0, 1, 5, 32), strict=True):
        np.testing.assert_array_equal(image[:t], 0)
        np.testing.assert_array_equal(image[t:], x[t:])


def test_function_never_receives_step_zero_even_in_gradients(photos):
    degrade = from_function(lambda x, t: x / jnp.sqrt(t.astype(x.dtype)), num_steps=4)
    slope = jax.grad(lambda x: degrade(x, jnp.array([0, 1, 2, 4])).sum())(photos)
    np.testing.assert_allclose(slope[:, 0, 0, 0], [1, 1, 0.5**0.5, 0.5], atol=1e-6)


def test_arrays_bound_to_a_partial_are_traced(photos):
    def fade(target, x, t):
        return x + (target - x) * t / 4

    apply = jax.jit(chex.assert_max_traces(lambda d, x: d(x, 4), n=1))
    for value in (0.5, -0.5):
        target = jnp.full((32, 32, 3), value)
        degrade = from_function(jax.tree_util.Partial(fade, target), num_steps=4)
        np.testing.assert_allclose(apply(degrade, photos), value, atol=1e-6)


def test_invalid_arguments_raise(photos):
    with pytest.raises(ValueError, match="num_steps must be a positive integer, got 0"):
        from_function(lambda x, t: x, num_steps=0)
    with pytest.raises(
        ValueError, match="must return an image of the same shape as its input"
    ):
        from_function(lambda x, t: x[:1], num_steps=2)(photos, 1)
    with pytest.raises(ValueError, match=r"for the batch .* it returned list"):
        from_function(lambda x, t: [x], num_steps=2)(photos, 1)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, t: np.asarray(x) * 0.5,
        lambda x, t: scipy.ndimage.gaussian_filter(x, 1.0),
        lambda x, t: jnp.asarray(Image.fromarray(x)),
        lambda x, t: x * float(t),
        lambda x, t: x * [1.0, 0.5, 0.25][t],
    ],
)
def test_a_function_that_needs_numbers_is_told_about_pure_callback(photos, fn):
    steps = jnp.arange(len(photos)) % 3
    with pytest.raises(InputError, match=r"jax\.pure_callback.*docs/extending.md"):
        from_function(fn, num_steps=2)(photos, steps)


def test_other_errors_of_a_function_are_its_own(photos):
    with pytest.raises(TypeError, match="NoneType"):
        from_function(lambda x, t: x + None, num_steps=2)(photos, 1)


def test_a_function_of_scipy_runs_by_pure_callback(photos):
    def smooth(x, t):
        return scipy.ndimage.gaussian_filter(x, (float(t), float(t), 0))

    def blur(x, t):
        like = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(smooth, like, x, t, vmap_method="sequential")

    degrade = from_function(blur, num_steps=2)
    steps = jnp.arange(len(photos)) % 3
    x_t = jax.jit(lambda x, t: degrade(x, t))(photos, steps)
    for image, x, t in zip(x_t, photos, steps, strict=True):
        np.testing.assert_allclose(image, smooth(x, t) if t else x, atol=1e-6)
