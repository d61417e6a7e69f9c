"""Both algorithms: identities, recorded trajectories, one compiled program."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from tests.networks import random_parameters, tiny_unet
from tests.recorded import BLURS

ALGORITHMS = {"alg1": cd.sample_alg1, "alg2": cd.sample_alg2}


def toy_restorer(num_steps):
    """The restorer of the recorded trajectories."""

    def restore_fn(x, t):
        step = 0.01 * t.astype(jnp.float32)[:, None, None, None] / num_steps
        return 0.8 * x + 0.05 * jnp.sin(3 * x) + step

    return restore_fn


@pytest.fixture(params=["blur", "mask"])
def degrade(request, photos):
    if request.param == "blur":
        return cd.gaussian_blur(32, 8 * [1.0], kernel_size=5)
    mask = cd.gaussian_mask(32, 8 * [3.0], center="random")
    return mask.bind(jax.random.key(0), photos.shape)


@pytest.fixture(params=ALGORITHMS)
def sampler(request):
    return ALGORITHMS[request.param]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", BLURS)
def test_blur_trajectories_match_the_recorded_ones(golden, name, algorithm):
    prefix = f"blur/{name}/{algorithm}"
    degrade = BLURS[name]
    start = int(golden[f"{prefix}_start_t"][0])
    restore_fn = toy_restorer(degrade.num_steps)

    @jax.jit
    def run(degrade, x):
        steps = np.arange(start, -1, -1)
        return ALGORITHMS[algorithm](restore_fn, degrade, x, timesteps=steps)

    result = run(degrade, golden[f"{prefix}_xT"])
    np.testing.assert_allclose(result.x_0, golden[f"{prefix}_x0"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(
        result.direct, golden[f"{prefix}_direct"], atol=2e-5, rtol=0
    )


def test_the_mask_trajectory_matches_the_recorded_one(golden):
    prefix = "mask/Incremental/T100_std0.2_init1_r64/alg2"
    degrade = cd.gaussian_mask(64, cd.schedules.linear(100, start=0.2, increment=0.2))
    result = cd.sample_alg2(toy_restorer(100), degrade, golden[f"{prefix}_xT"])
    np.testing.assert_allclose(result.x_0, golden[f"{prefix}_x0"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("size", "num_steps"), [(32, 3), (64, 4)])
def test_pixelation_trajectories_match_the_recorded_ones(
    golden, algorithm, size, num_steps
):
    prefix = f"resolution/Incremental_factor_2/T{num_steps}_r{size}"
    sizes = cd.schedules.halving(size, num_steps=num_steps)
    degrade = cd.pixelate(size, sizes)
    x_T = golden[f"{prefix}/x_t"][-1]
    result = ALGORITHMS[algorithm](toy_restorer(num_steps), degrade, x_T)
    np.testing.assert_allclose(
        result.x_0, golden[f"{prefix}/{algorithm}_x0"], atol=2e-5, rtol=0
    )


def test_animorphosis_trajectories_match_the_recorded_ones(golden):
    others = golden["others32"].astype(np.float32) / 255 * 2 - 1
    degrade = cd.animorph(cd.schedules.cosine(200)).with_endpoint(others)
    fixed = cd.sample_alg2(toy_restorer(200), degrade, others)
    np.testing.assert_allclose(
        fixed.x_0, golden["animorph/T200_r32/fixed_x0_from_other"], atol=2e-5, rtol=0
    )
    x_T = golden["animorph/T200_r32/x_t"][-1]
    assert int(golden["animorph/T200_r32/t"][-1]) == 200
    for sampler in ALGORITHMS.values():
        unknown = cd.animorph(cd.schedules.cosine(200))
        result = sampler(toy_restorer(200), unknown, x_T, endpoint="estimated")
        np.testing.assert_allclose(
            result.x_0, golden["animorph/T200_r32/estimated_x0"], atol=2e-5, rtol=0
        )


def test_an_estimated_endpoint_needs_a_degradation_with_an_endpoint(sampler, photos):
    mask = cd.gaussian_mask(32, [3.0])
    with pytest.raises(
        TypeError, match=r"needs a degradation with an endpoint .* got Mask"
    ):
        sampler(lambda x_t, t: x_t, mask, photos, endpoint="estimated")
    with pytest.raises(ValueError, match=r"endpoint must be one of .* got 'free'"):
        sampler(lambda x_t, t: x_t, mask, photos, endpoint="free")


@pytest.mark.parametrize("timesteps", [None, [8, 5, 1, 0], [8, 0]])
def test_a_perfect_restorer_returns_the_clean_image(
    sampler, degrade, photos, timesteps
):
    result = sampler(lambda x_t, t: jnp.asarray(photos), degrade, degrade(photos, 8),
                     timesteps=timesteps)  # fmt: skip
    np.testing.assert_allclose(result.x_0, photos, atol=2e-6, rtol=0)


def test_algorithm_2_telescopes_for_a_constant_restorer(degrade, photos):
    guess = jnp.asarray(photos[::-1])
    x_T = degrade(photos, 8)
    result = cd.sample_alg2(lambda x_t, t: guess, degrade, x_T)
    np.testing.assert_allclose(result.x_0, x_T - degrade(guess, 8) + guess, atol=3e-6)


def test_algorithm_2_is_exact_for_any_restorer_if_d_is_linear_in_t(photos):
    error = jnp.asarray(photos[::-1])
    line = cd.from_function(lambda x, t: x + t * 0.1, num_steps=5)
    alg2 = cd.sample_alg2(lambda x_t, t: 0.3 * error, line, line(photos, 5))
    np.testing.assert_allclose(alg2.x_0, photos, atol=2e-6)
    alg1 = cd.sample_alg1(lambda x_t, t: 0.3 * error, line, line(photos, 5))
    assert np.abs(alg1.x_0 - photos).max() > 0.1


@pytest.mark.parametrize("timesteps", [None, [8, 7, 3, 0], [5, 2, 0]])
def test_the_scan_equals_a_python_loop(sampler, degrade, photos, timesteps):
    restore_fn = toy_restorer(8)
    steps = list(range(8, -1, -1)) if timesteps is None else timesteps
    x_t = degrade(photos, steps[0])
    result = sampler(
        restore_fn, degrade, x_t, timesteps=timesteps, return_trajectory=True
    )
    visited, predictions = [x_t], []
    for t, s in itertools.pairwise(steps):
        x0_hat = restore_fn(x_t, jnp.full(4, t))
        predictions.append(x0_hat)
        x_s = degrade(x0_hat, s)
        x_t = x_s if sampler is cd.sample_alg1 else x_t - degrade(x0_hat, t) + x_s
        visited.append(x_t)
    np.testing.assert_allclose(result.x_0, x_t, atol=2e-6)
    np.testing.assert_allclose(result.trajectory, jnp.stack(visited), atol=2e-6)
    np.testing.assert_array_equal(result.trajectory[-1], result.x_0)
    np.testing.assert_allclose(result.predictions, jnp.stack(predictions), atol=2e-6)
    first = restore_fn(visited[0], jnp.full(4, steps[0]))
    np.testing.assert_allclose(result.direct, first, atol=1e-6)


def test_every_third_image_is_kept_with_its_prediction(degrade, photos):
    given = (toy_restorer(8), degrade, degrade(photos, 8))
    whole = cd.sample_alg2(*given, return_trajectory=True)
    some = cd.sample_alg2(*given, return_trajectory=True, trajectory_every=3)
    np.testing.assert_array_equal(
        some.trajectory, whole.trajectory[np.array([0, 3, 6, 8])]
    )
    np.testing.assert_array_equal(
        some.predictions, whole.predictions[np.array([0, 3, 6])]
    )
    assert some.images_first().predictions.shape[:2] == (4, 3)
    assert cd.sample_alg2(*given).predictions is None


def test_restore_direct_is_the_first_prediction_of_both_algorithms(degrade, photos):
    x_T = degrade(photos, 8)
    direct = cd.restore_direct(toy_restorer(8), degrade, x_T)
    assert direct.trajectory is None
    for sample in ALGORITHMS.values():
        result = sample(toy_restorer(8), degrade, x_T)
        assert result.trajectory is None
        np.testing.assert_allclose(result.direct, direct.x_0, atol=1e-6)


def test_new_parameters_images_keys_and_degradations_do_not_recompile(sampler, photos):
    model = tiny_unet()
    x = jnp.asarray(photos)
    run = jax.jit(chex.assert_max_traces(sampler, n=1))
    for seed in range(3):
        params = random_parameters(model, (32, 32, 3), seed)
        restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
        mask = cd.gaussian_mask(32, 3 * [seed + 1.0], center="random")
        run(restore_fn, mask.bind(jax.random.key(seed), x.shape), x * 0.1 * seed)


def test_a_trajectory_is_one_scan_that_traces_the_network_once(sampler, photos):
    degrade = cd.gaussian_blur(32, 8 * [1.0], kernel_size=5)
    calls = []

    def restore_fn(x_t, t):
        calls.append(t.shape)
        return x_t

    jaxpr = jax.make_jaxpr(lambda x: sampler(restore_fn, degrade, x).x_0)(photos)
    assert calls == [(4,)]
    assert sum(e.primitive.name == "scan" for e in jaxpr.eqns) == 1


def test_samplers_work_under_pmap_vmap_and_grad(sampler, photos):
    degrade = cd.gaussian_blur(32, 4 * [1.0], kernel_size=5)
    restore_fn = toy_restorer(4)

    def run(x):
        return sampler(restore_fn, degrade, x).x_0

    expected = run(photos)
    pairs = photos.reshape(2, 2, 32, 32, 3)
    for mapped in (jax.vmap(run)(pairs), jax.pmap(run)(pairs)):
        np.testing.assert_allclose(mapped.reshape(photos.shape), expected, atol=2e-6)
    direction = np.random.default_rng(0).normal(size=photos.shape).astype(np.float32)
    slope = jax.grad(lambda x: run(x).sum())(photos)
    ahead, behind = (run(photos + h * direction).sum() for h in (1e-2, -1e-2))
    np.testing.assert_allclose(
        (slope * direction).sum(), (ahead - behind) / 2e-2, rtol=2e-2
    )


@pytest.mark.parametrize(
    "timesteps", [[0, 8], [8, 8, 0], [8, 4], [9, 0], [0], [8.0, 0.0], [[8, 0]]]
)
def test_bad_timesteps_raise(sampler, degrade, photos, timesteps):
    with pytest.raises(ValueError, match="timesteps must be strictly decreasing"):
        sampler(lambda x_t, t: x_t, degrade, photos, timesteps=timesteps)
