"""Where NaN or infinity first appeared."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import Restart
from tests.sampling.samplers import toy_restorer


def broken_at(step, images):
    """A restorer that returns NaN at this step for these images of the batch."""

    def restore_fn(x_t, t):
        bad = (t == step) & jnp.isin(jnp.arange(4), jnp.asarray(images))
        return jnp.where(bad[:, None, None, None], jnp.nan, toy_restorer(x_t, t))

    return restore_fn


def test_the_error_names_the_images_and_their_first_step(sampler, degrade, photos):
    x_T = degrade(photos, 8)
    with pytest.raises(
        FloatingPointError,
        match=r"in 2 of 4 images \(image 1 first at t = 5, image 3 first at t = 5\); ",
    ):
        sampler(broken_at(5, [1, 3]), degrade, x_T, check_finite=True)
    with pytest.raises(FloatingPointError, match="image 2 first at t = 8"):
        sampler(toy_restorer, degrade, x_T.at[2].set(jnp.inf), check_finite=True)
    assert sampler(broken_at(5, [1]), degrade, x_T).nonfinite_step is None


def test_the_result_records_the_first_step_under_jit_and_pmap(sampler, degrade, photos):
    def run(x_T, restore_fn):
        return sampler(restore_fn, degrade, x_T, check_finite=True)

    x_T = degrade(photos, 8)
    good = jax.jit(functools.partial(run, restore_fn=toy_restorer))(x_T)
    good.raise_if_not_finite()
    np.testing.assert_array_equal(good.nonfinite_step, 4 * [-1])
    broken = functools.partial(run, restore_fn=broken_at(3, [0, 2]))
    result = jax.jit(broken)(x_T)
    np.testing.assert_array_equal(result.nonfinite_step, [3, -1, 3, -1])
    mapped = jax.pmap(broken)(jnp.stack([x_T, x_T]))
    for bad in (result, mapped):
        with pytest.raises(FloatingPointError, match="image 0 first at t = 3"):
            bad.raise_if_not_finite()


def test_nan_in_the_degraded_images_is_found_for_any_restorer(sampler, degrade):
    x_T = jnp.zeros((4, 32, 32, 3)).at[1, 0, 0, 0].set(jnp.nan)
    with pytest.raises(FloatingPointError, match=r"1 of 4 images \(image 1 first"):
        sampler(lambda x_t, t: jnp.ones_like(x_t), degrade, x_T, check_finite=True)


def test_a_result_that_was_not_checked_cannot_raise(blur, photos):
    result = cd.restore_direct(toy_restorer, blur, photos)
    with pytest.raises(ValueError, match="not called with check_finite=True"):
        result.raise_if_not_finite()


def test_the_first_step_is_found_before_and_after_a_restart(blur, photos):
    def restore_fn(x_t, t):
        first_pass = jnp.abs(x_t[0]).max() > 1.5  # The restorer shrinks the values.
        at = jnp.where(first_pass, 2, 5)
        bad = (t == at) & (jnp.arange(4) == jnp.where(first_pass, 0, 1))
        return jnp.where(bad[:, None, None, None], jnp.nan, 0.1 * photos)

    x_T = jnp.full(photos.shape, 2.0)
    with pytest.raises(FloatingPointError, match="image 0 first at t = 2"):
        cd.sample_alg2(restore_fn, blur, x_T, restart=Restart(2, 6), check_finite=True)
