"""What all samplers have in common."""

import functools

import chex
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import Restart
from tests.networks import random_parameters, tiny_unet
from tests.sampling.samplers import SAMPLERS, T, toy_restorer


@pytest.mark.parametrize("timesteps", [None, [8, 5, 1, 0], [8, 0], [3, 2, 0]])
def test_a_perfect_restorer_returns_the_clean_image(
    sampler, degrade, photos, timesteps
):
    x_T = degrade(photos, 8 if timesteps is None else timesteps[0])
    result = sampler(
        lambda x_t, t: jnp.asarray(photos), degrade, x_T, timesteps=timesteps
    )
    np.testing.assert_allclose(result.x_0, photos, atol=3e-6, rtol=0)


def test_a_start_equals_the_timesteps_that_begin_there(sampler, degrade, photos):
    x_t = degrade(photos, 3)
    short = sampler(toy_restorer, degrade, x_t, start=3)
    same = sampler(toy_restorer, degrade, x_t, timesteps=[3, 2, 1, 0])
    np.testing.assert_array_equal(short.x_0, same.x_0)
    expected = toy_restorer(x_t, jnp.full(4, 3))
    np.testing.assert_allclose(short.direct, expected, atol=1e-6)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 8, 20])
def test_every_kth_image_and_the_last_are_kept(sampler, degrade, photos, every):
    x_T = degrade(photos, 8)
    whole = sampler(toy_restorer, degrade, x_T, return_trajectory=True)
    assert whole.trajectory.shape == (9, *photos.shape)
    np.testing.assert_array_equal(whole.trajectory[0], x_T)
    np.testing.assert_array_equal(whole.trajectory[-1], whole.x_0)
    some = sampler(
        toy_restorer, degrade, x_T, return_trajectory=True, trajectory_every=every
    )
    steps = [*range(0, 8, every), 8]
    expected = np.asarray(whole.trajectory)[steps]
    np.testing.assert_allclose(some.trajectory, expected, atol=1e-6)
    expected = np.asarray(whole.predictions)[steps[:-1]]
    np.testing.assert_allclose(some.predictions, expected, atol=1e-6)


def test_predictions_are_those_of_the_images_of_the_trajectory(
    sampler, degrade, photos
):
    x_T = degrade(photos, 8)
    result = sampler(toy_restorer, degrade, x_T, return_trajectory=True)
    assert result.predictions.shape == (8, *photos.shape)
    for x_t, x0_hat, t in zip(
        result.trajectory[:-1], result.predictions, range(8, 0, -1), strict=True
    ):
        expected = toy_restorer(x_t, jnp.full(4, t))
        np.testing.assert_allclose(x0_hat, expected, atol=1e-6)
    by_image = result.images_first()
    np.testing.assert_array_equal(by_image.predictions[2], result.predictions[:, 2])
    np.testing.assert_array_equal(by_image.trajectory[2], result.trajectory[:, 2])


def test_no_trajectory_is_returned_by_default(sampler, degrade, photos):
    result = sampler(toy_restorer, degrade, degrade(photos, 8))
    assert result.trajectory is None and result.predictions is None
    assert result.images_first() is result


@pytest.mark.parametrize("kind", ["alg1", "alg2", "heun", "ab2", "momentum"])
def test_a_direct_last_step_ends_in_the_last_prediction(kind, blur, photos):
    x_T = blur(photos, 8)
    result = SAMPLERS[kind](
        toy_restorer, blur, x_T, last_step="direct", return_trajectory=True
    )
    expected = toy_restorer(result.trajectory[-2], jnp.full(4, 1))
    np.testing.assert_allclose(result.x_0, expected, atol=1e-6)


def test_new_parameters_images_and_degradations_do_not_recompile(sampler, name, photos):
    model = tiny_unet()
    run = jax.jit(chex.assert_max_traces(lambda r, d, x: sampler(r, d, x), n=1))
    for seed in range(2):
        params = random_parameters(model, (32, 32, 3), seed)
        restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
        if name == "ddim":
            degrade = cd.gaussian_noise(cd.schedules.cosine(T) ** (seed + 1))
        else:
            degrade = cd.gaussian_mask(32, T * [seed + 1.0], center="random")
        degrade = degrade.bind(jax.random.key(seed), photos.shape)
        run(restore_fn, degrade, 0.1 * seed * photos)


def test_a_trajectory_is_one_scan_without_callbacks(sampler, degrade, photos):
    program = jax.make_jaxpr(lambda x: sampler(toy_restorer, degrade, x).x_0)(photos)
    assert sum(e.primitive.name == "scan" for e in program.eqns) == 1
    assert "callback" not in str(program)


def test_samplers_work_under_jit_pmap_vmap_and_grad(sampler, degrade, photos):
    def run(x):
        return sampler(toy_restorer, degrade, x, timesteps=[8, 4, 0]).x_0

    expected = run(photos)
    np.testing.assert_allclose(jax.jit(run)(photos), expected, atol=3e-6)
    pair = jnp.stack([photos, photos])
    for mapped in (jax.vmap(run)(pair), jax.pmap(run)(pair)):
        np.testing.assert_allclose(mapped[1], expected, atol=3e-6)
    direction = np.random.default_rng(0).normal(size=photos.shape).astype(np.float32)
    slope = jax.grad(lambda x: (run(x) * direction).sum())(photos)
    difference = ((run(photos + direction) - run(photos)) * direction).sum()
    np.testing.assert_allclose((slope * direction).sum(), difference, rtol=1e-2)


@pytest.mark.parametrize("kind", ["alg1", "alg2", "heun", "ab2"])
def test_the_degradation_may_be_a_plain_function(kind, photos):
    def darken(x, t):
        return x - 0.1 * t

    timesteps = [5, 3, 0]
    restore_fn = functools.partial(lambda x_t, t: jnp.asarray(photos))
    x_T = darken(photos, 5)
    for options in (
        {"timesteps": timesteps},
        {"start": 5},
        {"start": 5, "restart": Restart(2, 4)},
    ):
        result = SAMPLERS[kind](restore_fn, darken, x_T, **options)
        np.testing.assert_allclose(result.x_0, photos, atol=1e-6)
    for timesteps in (None, 3):
        message = f"without num_steps needs start or a list .* timesteps={timesteps}"
        with pytest.raises(ValueError, match=message):
            SAMPLERS[kind](restore_fn, darken, x_T, timesteps=timesteps)


@pytest.mark.parametrize("kind", ["alg1", "alg2", "heun", "ab2", "momentum"])
def test_a_restorer_or_degradation_that_changes_the_shape_or_dtype_raises(
    kind, blur, photos
):
    sampler, x = SAMPLERS[kind], jnp.asarray(photos)
    with pytest.raises(ValueError, match="must return images of the shape of its"):
        sampler(lambda x_t, t: x_t[:, :16], blur, x)
    with pytest.raises(TypeError, match="must return the dtype of its input, flo"):
        sampler(lambda x_t, t: x_t.astype(jnp.float16), blur, x)
    with pytest.raises(TypeError, match=r"must return one array.* returned a tuple"):
        sampler(lambda x_t, t: (x_t, {}), blur, x)

    if kind != "momentum":  # It needs num_steps.
        with pytest.raises(ValueError, match="a degradation must return images of the"):
            sampler(
                toy_restorer,
                lambda x, t: jnp.repeat(x, 3, axis=-1),
                x[..., :1],
                start=3,
            )


def test_the_restorer_may_be_an_nnx_model(sampler, degrade, photos):
    class Shift(flax.nnx.Module):
        def __init__(self, rngs):
            self.conv = flax.nnx.Conv(3, 3, (3, 3), rngs=rngs)

        def __call__(self, x, t):
            return self.conv(x) + 0.01 * t[:, None, None, None]

    model = Shift(flax.nnx.Rngs(0))
    result = sampler(model, degrade, degrade(photos, 8), timesteps=[8, 4, 0])
    assert result.x_0.shape == photos.shape and np.isfinite(result.x_0).all()
    expected = model(degrade(photos, 8), jnp.full(4, 8))
    np.testing.assert_allclose(result.direct, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timesteps": [0, 8]}, "timesteps must be strictly decreasing .* T = 8 down"),
        ({"timesteps": [9, 0]}, "timesteps must be strictly decreasing"),
        ({"timesteps": [8.0, 0.0]}, "timesteps must be strictly decreasing"),
        ({"start": 9}, r"start must be an integer in 1\.\.8, got 9"),
        ({"start": 0}, r"start must be an integer in 1\.\.8, got 0"),
        ({"start": 2.0}, r"start must be an integer in 1\.\.8, got 2.0"),
        (
            {"start": 5, "timesteps": [5, 0]},
            "pass start or a list of timesteps, not",
        ),
        ({"trajectory_every": 0}, "trajectory_every must be a positive integer, got 0"),
    ],
)
def test_bad_options_raise(sampler, degrade, photos, options, message):
    with pytest.raises(ValueError, match=message):
        sampler(toy_restorer, degrade, photos, **options)


@pytest.mark.parametrize("steps", [[0], [2.0, 0.0], [[2, 0]]])
def test_the_shape_and_dtype_of_traced_timesteps_are_checked(blur, photos, steps):
    def run(timesteps):
        return cd.sample_alg2(toy_restorer, blur, photos, timesteps=timesteps).x_0

    with pytest.raises(ValueError, match="timesteps must be strictly decreasing"):
        jax.jit(run)(jnp.array(steps))


def test_numpy_integers_are_integers(blur, photos):
    result = cd.sample_alg2(
        toy_restorer,
        blur,
        photos,
        start=np.int64(3),
        return_trajectory=True,
        trajectory_every=np.int32(2),
    )
    assert result.trajectory.shape == (3, *photos.shape)


def test_an_unknown_last_step_raises(photos):
    mask = cd.gaussian_mask(32, [3.0])
    with pytest.raises(ValueError, match=r"last_step must be one of .* got 'half'"):
        cd.sample_alg2(toy_restorer, mask, photos, last_step="half")


def test_an_unknown_option_raises(sampler, degrade, photos):
    for option in ("steps", "state"):
        with pytest.raises(TypeError, match=f"keyword argument.*'{option}'"):
            sampler(toy_restorer, degrade, photos, **{option: 3})


def test_options_may_be_static_arguments_of_jit(blur, photos):
    run = jax.jit(
        cd.sample_alg2, static_argnames=("start", "last_step", "return_trajectory")
    )
    restore_fn = jax.tree_util.Partial(toy_restorer)
    result = run(
        restore_fn, blur, photos, start=3, last_step="direct", return_trajectory=True
    )
    assert result.trajectory.shape == (4, *photos.shape)
