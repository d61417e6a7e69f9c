"""The scripts in examples/ have the formulas of their papers, and run."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from tests.conftest import ROOT


def load(name):
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def blackout():
    return load("blackout_diffusion")


@pytest.fixture(scope="module")
def dyffusion():
    return load("dyffusion")


@pytest.mark.parametrize("name", ["blackout_diffusion", "dyffusion"])
def test_an_example_runs_and_writes_its_picture(name, tmp_path, capsys):
    path = str(tmp_path / "picture.png")
    load(name).main(["--steps=2", f"--out={path}"])
    assert capsys.readouterr().out.endswith(f"{path}\n")
    pixels = np.asarray(Image.open(path))
    assert pixels.ndim == 3 and pixels.std() > 10


@pytest.mark.parametrize("name", ["blackout_diffusion", "dyffusion"])
def test_an_example_is_short_and_named_in_the_documentation(name):
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 200
    assert f"examples/{name}.py" in (ROOT / "docs" / "extending.md").read_text()


def test_observation_times_of_blackout_have_equal_steps_of_the_logit(blackout):
    """Santos et al. (2023): f(p_k) has equal steps between -f(p_T) and f(p_T)."""
    times = blackout.observation_times(7, 10.0)
    assert times[0] == 0
    p = np.exp(-times[1:])
    f = np.log(p / (1 - p))
    end = np.log(np.exp(-10.0) / (1 - np.exp(-10.0)))
    np.testing.assert_allclose(f, np.linspace(-end, end, 7), rtol=1e-6)


def test_blackout_kills_particles_independently(blackout):
    counts = np.arange(0, 17, 4)
    x_0 = jnp.tile(counts.astype(np.float32)[:, None, None], (20_000, 1, 1, 1))
    for k in (38, 50, 62):
        steps = jnp.full(len(x_0), k)
        x_k = np.asarray(blackout.degrade(jax.random.key(k), x_0, steps))
        assert (x_k == np.round(x_k)).all() and (x_k >= 0).all() and (x_k <= x_0).all()
        p = np.exp(-blackout.TIMES[k])
        mean, variance = counts * p, counts * p * (1 - p)
        found = x_k[..., 0, 0]
        error = 5 * np.sqrt(variance / len(x_k)) + 1e-9
        assert (np.abs(found.mean(axis=0) - mean) <= error).all()
        np.testing.assert_allclose(found.var(axis=0), variance, rtol=0.06, atol=1e-9)


def test_the_bridge_of_blackout_has_the_law_of_a_binomial(blackout):
    """x_j - x_k ~ Binomial(x_0 - x_k, (p_j - p_k) / (1 - p_k))."""
    n, k, j = 40_000, 60, 50
    p_k, p_j = np.exp(-blackout.TIMES[[k, j]])
    x_0, x_k = jnp.full((n, 1, 1, 1), 12.0), jnp.full((n, 1, 1, 1), 3.0)
    bridged = blackout.bridge(jax.random.key(0), x_k, x_0, jnp.int32(k), jnp.int32(j))
    births = np.asarray(bridged - x_k).ravel()
    alive = (p_j - p_k) / (1 - p_k)
    assert births.mean() == pytest.approx(9 * alive, rel=0.02)
    assert births.var() == pytest.approx(9 * alive * (1 - alive), rel=0.03)
    whole = blackout.bridge(jax.random.key(1), x_k, x_0, jnp.int32(1), jnp.int32(0))
    np.testing.assert_array_equal(whole, x_0)


def test_bridging_back_from_a_later_step_keeps_the_marginals(blackout):
    """Binomial(x_0, p_k), and then the bridge, is Binomial(x_0, p_j)."""
    n, k, j = 40_000, 60, 45
    x_0 = jnp.full((n, 1, 1, 1), 16.0)
    x_k = blackout.degrade(jax.random.key(0), x_0, jnp.full(n, k))
    x_j = blackout.bridge(jax.random.key(1), x_k, x_0, jnp.int32(k), jnp.int32(j))
    p_j = np.exp(-blackout.TIMES[j])
    assert x_j.mean() == pytest.approx(16 * p_j, rel=0.01)
    assert x_j.var() == pytest.approx(16 * p_j * (1 - p_j), rel=0.03)


def test_the_loss_of_blackout_is_the_likelihood_of_births(blackout):
    rng = np.random.default_rng(0)
    x_0 = rng.integers(0, 17, (5, 8, 8, 1)).astype(np.float32)
    x_k = np.floor(x_0 * rng.uniform(0, 1, x_0.shape)).astype(np.float32)
    y = rng.uniform(0.1, 16, x_0.shape).astype(np.float32)
    k = np.array([1, 20, 50, 80, 100])
    tau = blackout.TIMES.astype(np.float64)
    weight = blackout.T * (tau[k] - tau[k - 1]) * np.exp(-tau[k])
    expected = weight * (y - (x_0 - x_k) * np.log(np.float64(y))).mean(axis=(1, 2, 3))
    found = blackout.loss(jnp.asarray(y), jnp.asarray(x_0), jnp.asarray(x_k), k)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_dyffusion_is_its_cold_sampling(dyffusion):
    """Ruehling Cachay et al. (2023), Algorithm 2, with any two networks, in NumPy."""
    h, rng = dyffusion.HORIZON, np.random.default_rng(0)
    first = rng.normal(size=(3, 8, 8, 1))

    def interpolated(s_0, s_h, i):
        if i in (0, h):
            return s_0 if i == 0 else s_h
        return s_h + np.sin(s_0) * (h - i) + 0.1 * s_h * (h - i) ** 2

    def forecaster(s_i, i):
        return np.cos(s_i) + 0.1 * (h - i)

    def interpolator(s_0, x, t, keys):
        t = t.astype(jnp.float32)[:, None, None, None]
        return x + jnp.sin(s_0) * t + 0.1 * x * t**2

    def restore_fn(x, t):
        return jnp.cos(x) + 0.1 * t.astype(jnp.float32)[:, None, None, None]

    network = jax.tree_util.Partial(interpolator)
    degrade = dyffusion.Interpolation(network, jnp.asarray(first, jnp.float32))
    s = first
    frames = [s]
    for i in range(h):
        s_h = forecaster(s, i)
        s = s - interpolated(first, s_h, i) + interpolated(first, s_h, i + 1)
        frames.append(s)
    found = cd.sample_alg2(
        restore_fn, degrade, degrade.first, return_trajectory=True
    ).trajectory
    np.testing.assert_allclose(found, np.stack(frames), rtol=1e-6, atol=1e-6)


def test_the_interpolator_of_dyffusion_ends_in_both_frames(dyffusion):
    first, last = jax.random.normal(jax.random.key(0), (2, 3, 16, 16, 1))
    params = cd.models.initialize(
        dyffusion.NETWORK, (16, 16, 2), key=jax.random.key(1)
    )["params"]
    network = jax.tree_util.Partial(dyffusion.apply, params)
    degrade = dyffusion.Interpolation(network, first)
    bound = degrade.bind(jax.random.key(2), last.shape)
    np.testing.assert_array_equal(bound(last, 0), last)
    np.testing.assert_array_equal(bound(last, dyffusion.HORIZON), first)
    middle = bound(last, 3)
    np.testing.assert_array_equal(middle, bound(last, 3))  # One draw for all t.
    other = degrade.bind(jax.random.key(3), last.shape)(last, 3)
    assert np.abs(middle - other).max() > 1e-4


def test_frames_of_dyffusion_turn_by_equal_angles(dyffusion):
    images = np.zeros((1, 8, 8, 1), np.uint8)
    images[0, 3:5, 5:7] = 255  # A spot to the right of the middle.
    frames = (dyffusion.turning(images)[0, ..., 0] + 1) / 2
    offsets = np.arange(16) - 7.5
    angles = []
    for frame in frames:
        weights = frame / frame.sum()
        y, x = (weights * offsets[:, None]).sum(), (weights * offsets[None, :]).sum()
        angles.append(np.degrees(np.arctan2(y, x)))
    np.testing.assert_allclose(np.abs(np.diff(angles)), 15, atol=1.5)
