"""Samplers by name, and the images that they restore."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import prng, schedules
from colddiff_jax.restoration.samplers import (
    check_endpoint,
    check_sampler,
    parse_samplers,
    run_samplers,
    title,
)

T = 6


def test_titles_spell_out_samplers_and_steps():
    names = ("degraded", "direct", "alg1", "alg2:5", "ddim:1", "test images")
    assert [title(name) for name in names] == [
        "degraded",
        "direct",
        "Algorithm 1",
        "Algorithm 2, 5 steps",
        "DDIM, 1 step",
        "test images",
    ]


@pytest.fixture
def degrade():
    return cd.fade(np.linspace(0.9, 0.1, T))


@pytest.fixture
def noise():
    return cd.gaussian_noise(schedules.cosine(T))


def image_keys():
    return jax.random.split(jax.random.key(1), 2)


def test_ancestral_ddim_has_an_eta_of_1(noise):
    specs = parse_samplers(["ddim:3", "ddim+ancestral:3"], noise)
    assert title("ddim+ancestral:3") == "DDIM, ancestral, 3 steps"
    x_T = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    found = run_samplers(specs, halfway, noise, x_T, key=image_keys())
    own = prng.split_keys(image_keys(), 2)
    for (name, x_0), key, eta in zip(found.items(), own, (0.0, 1.0), strict=True):
        expected = cd.sample_ddim(
            halfway, noise, x_T, key=key, eta=eta, timesteps=3
        ).x_0
        np.testing.assert_allclose(x_0, expected, atol=1e-6, err_msg=name)


def test_only_ddim_is_ancestral(noise):
    with pytest.raises(cd.InputError, match=r"addition \+consistent, got 'alg2\+ance"):
        parse_samplers(["alg2+ancestral"], noise)


def halfway(x_t, t):
    return 0.5 * x_t + 0.1


def test_a_name_selects_a_sampler_and_its_steps(degrade):
    specs = parse_samplers(["direct", "alg1", "alg2:5", " heun:2", "alg1"], degrade)
    assert [(s.name, s.sampler, s.num_steps) for s in specs] == [
        ("direct", "direct", 1),
        ("alg1", "alg1", T),
        ("alg2:5", "alg2", 5),
        ("heun:2", "heun", 2),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alg3", "among direct, alg1, alg2, heun, ab2, ddim, ihd, got 'alg3'"),
        ("alg2:7", r"take 1..6 steps, .* such as alg2:5; got 'alg2:7'"),
        ("alg2:0", "got 'alg2:0'"),
        ("alg2:", "got 'alg2:'"),
        ("alg2:two", "got 'alg2:two'"),
        ("direct:1", "single prediction without steps, got 'direct:1'"),
        ("ddim", "the sampler ddim needs a model trained on gaussian_noise"),
        ("ihd", r"ihd needs a model that predicts the step before \(objective.target"),
    ],
)
def test_a_name_that_does_not_fit_raises(degrade, name, message):
    with pytest.raises(cd.InputError, match=message):
        parse_samplers([name], degrade)


def test_ddim_needs_a_model_of_noise(degrade, noise):
    (spec,) = parse_samplers(["ddim:3"], noise)
    assert (spec.sampler, spec.num_steps) == ("ddim", 3)
    check_sampler("ddim", noise)
    for other in (degrade, cd.animorph(schedules.cosine(T))):
        check_sampler("alg2", other)
        with pytest.raises(cd.InputError, match="needs a model trained on gaussian_no"):
            parse_samplers(["alg2", "ddim"], other)


def test_a_model_that_predicts_the_step_before_has_one_sampler_of_all_steps(degrade):
    for names in (None, ["ihd"], [f"ihd:{T}"]):
        (spec,) = parse_samplers(names, degrade, target="previous")
        assert (spec.sampler, spec.num_steps) == ("ihd", T)
    assert [s.name for s in parse_samplers(None, degrade)] == ["direct", "alg1", "alg2"]
    for name in ("direct", "alg1", "alg2", "heun", "ab2", "alg2+consistent"):
        message = f"sampler {name.partition('+')[0]} needs predictions of clean images"
        with pytest.raises(cd.InputError, match=message):
            parse_samplers([name], degrade, target="previous")
    with pytest.raises(cd.InputError, match=r"sampler ihd takes all 6 steps, .* got 5"):
        parse_samplers(["ihd:5"], degrade, target="previous")
    with pytest.raises(cd.InputError, match="consistent predictions are of clean"):
        parse_samplers(["ihd+consistent"], degrade, target="previous")


def test_an_estimated_endpoint_needs_a_blend(degrade, noise):
    check_endpoint("estimated", noise)
    check_endpoint("fixed", degrade)
    message = r"`endpoint` estimated needs a model .* degradation is a Shrinkage"
    with pytest.raises(cd.InputError, match=message):
        check_endpoint("estimated", degrade)


def test_every_name_runs_its_sampler(degrade, photos):
    x_T = degrade(photos, T)
    run = functools.partial(
        run_samplers, restore_fn=halfway, degrade=degrade, x_T=x_T, key=None
    )
    found = run(parse_samplers(["direct", "alg1", "alg2:3", "heun", "ab2:2"], degrade))
    expected = {
        "direct": halfway(x_T, T),
        "alg1": cd.sample_alg1(halfway, degrade, x_T).x_0,
        "alg2:3": cd.sample_alg2(halfway, degrade, x_T, timesteps=[6, 4, 2, 0]).x_0,
        "heun": cd.sample_heun(halfway, degrade, x_T).x_0,
        "ab2:2": cd.sample_ab2(halfway, degrade, x_T, timesteps=[6, 3, 0]).x_0,
    }
    assert list(found) == list(expected)
    for name, x_0 in expected.items():
        np.testing.assert_allclose(found[name], x_0, atol=1e-5)
    (alone,) = run(parse_samplers(["direct"], degrade)).values()
    np.testing.assert_allclose(alone, expected["direct"], atol=1e-6)


def test_ddim_gets_a_key_per_image_and_estimates_the_endpoint(noise, photos):
    def keys():
        return jax.random.split(jax.random.key(1), len(photos))

    bound = noise.bind(jax.random.key(0), photos.shape)
    x_T = bound(photos, T)
    names = ["ddim", "alg2", "ddim:2"]
    found = run_samplers(parse_samplers(names, noise), halfway, bound, x_T, key=keys())
    ddim_keys, _, two_keys = prng.split_keys(keys(), 3)
    expected = {
        "ddim": cd.sample_ddim(halfway, bound, x_T, key=ddim_keys).x_0,
        "alg2": cd.sample_alg2(halfway, bound, x_T).x_0,
        "ddim:2": cd.sample_ddim(halfway, bound, x_T, key=two_keys, timesteps=2).x_0,
    }
    assert list(found) == names
    for name, x_0 in expected.items():
        np.testing.assert_allclose(found[name], x_0, atol=1e-5)


def test_the_last_prediction_can_be_the_result(degrade, photos):
    x_T = degrade(photos, T)
    specs = parse_samplers(["alg2"], degrade)
    found = run_samplers(specs, halfway, degrade, x_T, last_step="direct")["alg2"]
    x_1 = cd.sample_alg2(halfway, degrade, x_T, return_trajectory=True).trajectory[-2]
    np.testing.assert_allclose(found, halfway(x_1, jnp.ones(len(x_1))), atol=1e-5)
