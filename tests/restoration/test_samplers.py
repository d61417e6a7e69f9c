"""The methods that an evaluation compares."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from colddiff_jax.evaluation.samplers import parse_methods, restore

import colddiff_jax as cd

T = 6


@pytest.fixture
def degrade():
    return cd.fade(np.linspace(0.9, 0.1, T))


def halfway(x_t, t):
    return 0.5 * x_t + 0.1


def test_names_say_the_sampler_and_its_steps():
    found = parse_methods(["direct", "alg1", "alg2:5", " heun:2", "alg1"], T)
    assert [(m.name, m.sampler, m.num_steps) for m in found] == [
        ("direct", "direct", 1),
        ("alg1", "alg1", T),
        ("alg2:5", "alg2", 5),
        ("heun:2", "heun", 2),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alg3", "among direct, alg1, alg2, heun, ab2, got 'alg3'"),
        ("alg2:7", r"1..6, those of the degradation, such as alg2:5; got 'alg2:7'"),
        ("alg2:0", "got 'alg2:0'"),
        ("alg2:", "got 'alg2:'"),
        ("alg2:two", "got 'alg2:two'"),
        ("direct:1", "one prediction, without steps: 'direct:1'"),
    ],
)
def test_a_wrong_name_is_told(name, message):
    with pytest.raises(cd.InputError, match=message):
        parse_methods([name], T)


def test_every_method_is_the_sampler_it_names(degrade, photos):
    x_T = degrade(photos, T)
    run = functools.partial(restore, restore_fn=halfway, degrade=degrade, x_T=x_T)
    found = run(parse_methods(["direct", "alg1", "alg2:3", "heun", "ab2:2"], T))
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
    (alone,) = run(parse_methods(["direct"], T)).values()
    np.testing.assert_allclose(alone, expected["direct"], atol=1e-6)


def test_the_last_prediction_can_be_the_result(degrade, photos):
    x_T = degrade(photos, T)
    methods = parse_methods(["alg2"], T)
    found = restore(methods, halfway, degrade, x_T, last_step="direct")["alg2"]
    x_1 = cd.sample_alg2(halfway, degrade, x_T, return_trajectory=True).trajectory[-2]
    np.testing.assert_allclose(found, halfway(x_1, jnp.ones(len(x_1))), atol=1e-5)
