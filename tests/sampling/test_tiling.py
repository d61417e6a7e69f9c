"""Restorers of large images, tile by tile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import Tiled
from tests.networks import random_parameters


def smooth(x, t):
    """A restorer that looks at neighbours one pixel away, and at t."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    mean = sum(padded[:, i : i + x.shape[1], 1:-1] for i in range(3)) / 3
    return mean + t[:, None, None, None] * x


@pytest.fixture(scope="module")
def x():
    return jax.random.uniform(jax.random.key(0), (2, 52, 36, 3), minval=-1)


@pytest.mark.parametrize(
    ("tile", "overlap", "multiple"), [(16, 8, 4), (20, 8, 4), (16, 4, 1), (40, 12, 4)]
)
def test_tiles_of_a_local_restorer_equal_the_whole(x, tile, overlap, multiple):
    t = jnp.array([1, 2])
    tiled = Tiled(smooth, tile, overlap, multiple=multiple)
    np.testing.assert_allclose(tiled(x, t), smooth(x, t), atol=1e-6)


def test_weights_sum_to_one_and_vanish_where_tiles_end_inside_the_image():
    starts, weights = Tiled(smooth, tile=16, overlap=8)._along(37)
    total = np.zeros(37)
    for start, part in zip(starts, weights, strict=True):
        total[start : start + 16] += part
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert (np.asarray(weights[1:])[:, :2] == 0).all()
    assert (np.asarray(weights[:-1])[:, -2:] == 0).all()
    assert weights[0][0] == weights[-1][-1] == 1


def test_every_call_of_the_restorer_sees_one_tile(x):
    shapes = []

    def spy(x, t):
        shapes.append(x.shape)
        return x

    jax.jit(Tiled(spy, tile=16, overlap=8, multiple=4))(x, jnp.array([1, 2]))
    assert set(shapes) == {(2, 16, 16, 3)}
    Tiled(spy, tile=64, overlap=8, multiple=4)(x, jnp.array([1, 2]))
    assert shapes[-1] == x.shape


def test_tiles_begin_at_multiples():
    for side in (40, 44, 48, 52):
        starts, _ = Tiled(smooth, tile=16, overlap=6, multiple=4)._along(side)
        assert (np.asarray(starts) % 4 == 0).all() and starts[-1] == side - 16


def test_a_whole_trajectory_of_a_local_network_in_tiles_equals_the_untiled_one():
    model = cd.UNet(
        base_channels=8,
        channel_multipliers=(1, 2),
        num_blocks=1,
        attention_resolutions=(),
        patch_size=2,
        local=True,
    )
    params = random_parameters(model, (16, 16, 1))
    restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
    degrade = cd.heat_blur((96, 64), [0.5, 1.0, 2.0])
    x_T = jax.random.uniform(jax.random.key(1), (1, 96, 64, 1), minval=-1)
    sample = jax.jit(cd.sample_alg2)
    whole = sample(restore_fn, degrade, x_T).x_0
    tiled = sample(Tiled(restore_fn, 64, 56, multiple=4), degrade, x_T).x_0
    assert jnp.abs(whole - x_T).max() > 0.01
    np.testing.assert_allclose(tiled, whole, atol=2e-3)


def test_the_second_call_compiles_nothing(x):
    restore_fn = jax.tree_util.Partial(lambda a, x, t: a * x, jnp.float32(2))
    traced = []

    @jax.jit
    def run(restore_fn, x, t):
        traced.append(1)
        return restore_fn(x, t)

    for _ in range(2):
        tiled = Tiled(restore_fn, tile=16, overlap=8, multiple=4)
        run(tiled, x, jnp.array([1, 2]))
    assert len(traced) == 1


def test_invalid_tiles_and_sides_raise(x):
    for tile, overlap in ((18, 8), (8, 8), (8, 6)):
        with pytest.raises(ValueError, match=r"tile must be a multiple of 4 and at"):
            Tiled(smooth, tile, overlap, multiple=4)
    with pytest.raises(ValueError, match="overlap must be a positive integer"):
        Tiled(smooth, 16, 0)
    with pytest.raises(ValueError, match=r"sides must be multiples of 8, got 52 x 36"):
        Tiled(smooth, 16, 8, multiple=8)(x, jnp.array([1, 2]))
