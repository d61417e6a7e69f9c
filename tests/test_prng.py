"""Random draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import prng


def test_streams_differ_by_name_and_seed():
    data = [
        jax.random.key_data(prng.stream(*arguments)).tolist()
        for arguments in ((0, "train"), (1, "train"), (0, "evaluate"), (0, "train"))
    ]
    assert data[0] == data[3]
    assert len({tuple(d) for d in data}) == 3


def test_noise_of_a_step_is_drawn_from_the_key_and_the_step_alone():
    def draw(indices, t):
        keys = prng.indexed_keys(prng.stream(0, "noise"), jnp.array(indices))
        return np.asarray(prng.draw_normal_at(keys, t, (64, 64)))

    drawn = {t: draw([0, 1, 2], t) for t in (1, 2)}
    for t, found in drawn.items():
        assert abs(found.mean()) < 0.03 and abs(found.std() - 1) < 0.03
        np.testing.assert_array_equal(found[1:2], draw([1], jnp.int32(t)))
    all_draws = np.concatenate([drawn[1], drawn[2]]).reshape(6, -1)
    assert np.abs(np.corrcoef(all_draws) - np.eye(6)).max() < 0.08


def test_later_steps_are_uniform_above_t():
    keys = prng.indexed_keys(prng.stream(0, "later"), jnp.arange(4000))
    t = jnp.arange(4000) % 4 + 1
    later = np.asarray(prng.draw_later_steps(keys, t, 4))
    for step, counts in {1: [0, 0, 333, 333, 333], 3: [0, 0, 0, 0, 1000]}.items():
        drawn = np.bincount(later[np.asarray(t) == step], minlength=5)
        np.testing.assert_allclose(drawn, counts, atol=60)
    assert (later[np.asarray(t) == 4] == 4).all()


def test_choices_have_the_given_probability():
    def fraction(probability):
        keys = prng.indexed_keys(prng.stream(0, "choice"), jnp.arange(4000))
        return prng.draw_choice(keys, probability).mean()

    assert abs(fraction(0.25) - 0.25) < 0.03
    assert fraction(0.0) == 0 and fraction(1.0) == 1


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70, 1.5, True, "0", None])
def test_seeds_outside_32_bits_raise(seed):
    with pytest.raises(
        cd.InputError, match=r"`seed` must be an integer in 0..42949672"
    ):
        prng.stream(seed, "test")


def test_streams_do_not_depend_on_the_default_implementation():
    expected = jax.random.key_data(prng.stream(0, "test"))
    with jax.default_prng_impl("rbg"):
        key = prng.stream(0, "test")
    np.testing.assert_array_equal(jax.random.key_data(key), expected)
    assert str(jax.random.key_impl(key)) == "threefry2x32"
