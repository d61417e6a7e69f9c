"""Consistent samplers by name, in evaluations, in pictures and in a Restorer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError, sampling
from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.settings import check_settings
from colddiff_jax.restoration.samplers import (
    parse_samplers,
    run_samplers,
    title,
)
from colddiff_jax.sampling.consistency import with_factors
from tests.restoration.small_restorers import make_restorer


@pytest.fixture(scope="module")
def restorer():
    return make_restorer()


def test_a_consistent_sampler_is_the_sampler_of_the_consistent_restorer(restorer):
    degrade, restore_fn = restorer.degradation, restorer.restore_fn
    x = jnp.asarray(
        np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)), jnp.float32
    )
    x_T = degrade(x, 4)
    names = ["direct+consistent", "alg2+consistent:2", "direct", "alg2:2"]
    specs = parse_samplers(names, degrade)
    assert [spec.consistent for spec in specs] == [True, True, False, False]

    @jax.jit
    def run(restore_fn, degrade, x_T):
        return run_samplers(specs, restore_fn, degrade, x_T)

    found = run(restore_fn, with_factors(degrade), x_T)
    assert set(found) == set(names)
    made = sampling.consistent(restore_fn, degrade)
    for used, ending in ((made, "+consistent"), (restore_fn, "")):
        expected = cd.sample_alg2(used, degrade, x_T, timesteps=2)
        np.testing.assert_allclose(found[f"alg2{ending}:2"], expected.x_0, atol=2e-3)
        direct = found[f"direct{ending}"]
        np.testing.assert_allclose(direct, expected.direct, atol=2e-3)
    assert np.abs(found["direct"] - found["direct+consistent"]).max() > 0.01


def test_a_restorer_knows_that_files_and_uint8_have_8_bits(restorer):
    x = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    degraded = restorer.degrade(x, t=2)
    found = restorer.restore(degraded, t=2, consistent=True)
    made = sampling.consistent(
        restorer.restore_fn, restorer.degradation, noise=sampling.EIGHT_BITS
    )
    expected = cd.sample_alg2(
        made, restorer.degradation, cd.to_float(degraded[None]), timesteps=[2, 1, 0]
    ).x_0
    assert np.abs(cd.to_uint8(expected)[0].astype(int) - found).max() <= 1
    floats = cd.to_float(degraded)
    exact = restorer.restore(floats, t=2, consistent=True)
    assert np.abs(exact - cd.to_float(found)).max() > 0.02


def test_names_are_checked_and_have_titles(restorer):
    snow = make_restorer({"name": "snow", "num_steps": 2})
    with pytest.raises(InputError, match=r"addition \+consistent, got 'alg2\+x'"):
        parse_samplers(["alg2+x"], restorer.degradation)
    message = "need a degradation with a known inverse .* is a Snow"
    with pytest.raises(InputError, match=message):
        parse_samplers(["alg2+consistent"], snow.degradation)
    with pytest.raises(InputError, match=message):
        snow.restore(np.zeros((32, 32, 3), np.uint8), consistent=True)
    assert title("alg2+consistent:5") == "Algorithm 2, consistent, 5 steps"
    assert title("direct+consistent") == "direct, consistent"


def test_a_protocol_with_another_d_refuses_them(restorer):
    with pytest.raises(InputError, match=r"\+consistent need to know D"):
        check_settings(
            restorer.model,
            images=None,
            num_images=0,
            samplers=["alg2+consistent"],
            seeds=[0],
            protocol=Protocol(sampler_one_step_behind=True),
            endpoint="fixed",
            batch_size=8,
        )
