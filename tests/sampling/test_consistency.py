"""data_consistency."""

import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import data_consistency


def test_it_is_the_rms_of_what_was_observed_and_is_not_explained(photos):
    degrade = cd.pixelate(32, [16, 8], method="area")
    x_T = degrade(photos, 2)
    np.testing.assert_allclose(data_consistency(photos, degrade, x_T), 0, atol=1e-6)
    offsets = np.array([0.0, 0.1, -0.2, 0.5], np.float32)[:, None, None, None]
    found = data_consistency(photos + offsets, degrade, x_T)
    np.testing.assert_allclose(found, [0, 0.1, 0.2, 0.5], atol=1e-6)
    early = data_consistency(photos, degrade, degrade(photos, 1), t=1)
    np.testing.assert_allclose(early, 0, atol=1e-6)


def test_algorithm_2_explains_the_observation_where_algorithm_1_does_not(photos):
    degrade = cd.pixelate(32, [16, 8], method="area")
    x_T = degrade(photos, 2)

    def wrong(x_t, t):
        return jnp.tanh(3 * x_t)

    alg1, alg2 = (
        data_consistency(sampler(wrong, degrade, x_T).x_0, degrade, x_T)
        for sampler in (cd.sample_alg1, cd.sample_alg2)
    )
    assert alg2.max() < 1e-5 and alg1.min() > 0.05


def test_different_shapes_are_named(photos):
    with pytest.raises(ValueError, match="x_0 and x_T must have one shape"):
        data_consistency(photos, cd.fade([0.5]), photos[:2])
