"""The scripts in examples/ have the formulas of their papers, and run."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from PIL import Image

import colddiff_jax as cd
from tests.conftest import ROOT

NAMES = ["blackout_diffusion", "dyffusion", "variational_cold"]


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


@pytest.fixture(scope="module")
def variational():
    return load("variational_cold")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_and_writes_its_picture(name, tmp_path, capsys):
    path = str(tmp_path / "picture.png")
    load(name).main(["--steps=2", f"--out={path}"])
    assert capsys.readouterr().out.endswith(f"{path}\n")
    pixels = np.asarray(Image.open(path))
    assert pixels.ndim == 3 and pixels.std() > 10


@pytest.mark.parametrize("name", NAMES)
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


def test_the_degradation_of_variational_cold_has_the_schedules_of_its_code(variational):
    """Blur by the heat equation, then black: k_t (A_t x + 1) - 1, in NumPy."""
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    widths = np.exp(np.linspace(np.log(1), np.log(8), 5))
    widths = np.append(widths, widths[-1])
    keep = np.cos((np.arange(6) / 5 + 0.008) / 1.008 * np.pi / 2) ** 2
    keep[-1] = 0.0
    frequencies = np.pi * np.arange(8) / 8
    squares = frequencies[:, None] ** 2 + frequencies[None, :] ** 2
    degrade = variational.degradation()
    assert degrade.num_steps == 6
    for t in range(1, 7):
        modes = scipy.fft.dctn(x[..., 0], axes=(1, 2), norm="ortho")
        modes *= np.exp(-squares * widths[t - 1] ** 2 / 2)
        blurred = scipy.fft.idctn(modes, axes=(1, 2), norm="ortho")[..., None]
        expected = keep[t - 1] * (blurred + 1) - 1
        found = degrade(jnp.asarray(x, jnp.float32), t)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_divergence_of_a_code_is_that_of_two_normals(variational):
    mean, log_variance = np.random.default_rng(0).normal(size=(2, 3, 8))
    found = variational.divergence(jnp.asarray(mean), jnp.asarray(log_variance))
    z = np.linspace(-40, 40, 100_001)
    for i in range(3):
        std = np.exp(log_variance[i] / 2)[:, None]
        log_q = -(((z - mean[i][:, None]) / std) ** 2) / 2 - np.log(std)
        q = np.exp(log_q) / np.sqrt(2 * np.pi)
        integral = (q * (log_q + z**2 / 2)).sum() * (z[1] - z[0])
        np.testing.assert_allclose(found[i], integral, rtol=1e-6)


def test_the_code_says_which_image_comes_out_of_black(variational):
    params = variational.initial(jax.random.key(0))
    z = jax.random.normal(jax.random.key(1), (3, variational.LATENT))
    walked = variational.walk(params, z)
    assert walked.shape == (7, 3, 8, 8, 1)
    np.testing.assert_array_equal(walked[0], -1.0)
    x = np.asarray(walked[0])
    degrade = variational.degradation()
    for t in range(6, 0, -1):  # Algorithm 2, with the same code in all steps.
        x0_hat = variational.decode(params, jnp.asarray(x), jnp.full(3, t), z)
        x = x - np.asarray(degrade(x0_hat, t)) + np.asarray(degrade(x0_hat, t - 1))
        np.testing.assert_allclose(walked[7 - t], x, atol=1e-5)
    assert np.abs(walked[-1][0] - walked[-1][1]).max() > 1e-3


def test_half_of_the_loss_of_variational_cold_is_on_the_walks_of_the_teacher(
    variational,
):
    params = variational.initial(jax.random.key(0))
    teacher = jax.tree.map(lambda leaf: 1.1 * leaf, params)
    x_0 = jax.random.normal(jax.random.key(2), (4, 8, 8, 1))

    def value(params, teacher):
        return variational.loss(params, teacher, x_0, jax.random.key(3))

    gradient = jax.grad(value, argnums=1)(params, teacher)
    assert all(jnp.all(leaf == 0) for leaf in jax.tree.leaves(gradient))
    assert value(params, teacher) != value(params, params)
