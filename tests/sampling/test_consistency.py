"""Consistency of restored images with the observation, and the projection onto it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import data_consistency, project_onto_data

SIZE, CHANNELS = 6, 2


def bound(degrade, batch_size):
    return degrade.bind(jax.random.key(3), (batch_size, SIZE, SIZE, CHANNELS))


LINEAR = {
    "circular blur": cd.gaussian_blur(SIZE, 3 * [0.6], kernel_size=3),
    "reflected blur": cd.gaussian_blur(
        SIZE, 3 * [1.0], kernel_size=5, padding="reflect"
    ),
    "heat blur": cd.heat_blur(SIZE, [0.3, 0.6, 1.0]),
    "bicubic pixelation": cd.pixelate(SIZE, [5, 4, 3]),
    "area pixelation": cd.pixelate(SIZE, [6, 3, 1], method="area"),
    "anisotropic pixelation": cd.pixelate(SIZE, [(3, 6), (2, 6), (2, 3)]),
    "mask": cd.gaussian_mask(SIZE, 3 * [1.0]),
    "random mask": cd.gaussian_mask(SIZE, 3 * [1.0], center="random"),
    "binary mask": cd.rank_mask(cd.spiral_ranks(SIZE), [5, 10, 20]),
    "coloured mask": cd.rank_mask(
        cd.spiral_ranks(SIZE), [5, 10, 20], color_range=(-0.5, 0.5)
    ),
    "partial fading": cd.fade([0.9, 0.5, 0.2]),
    "total fading": cd.fade([0.9, 0.5, 0.0]),
    "partial desaturation": cd.desaturate([0.9, 0.5, 0.2]),
    "total desaturation": cd.desaturate([0.9, 0.5, 0.0]),
    "noise": cd.gaussian_noise([0.9, 0.5, 0.2]),
    "fading to a colour": cd.fade_to_color(SIZE, 3 * [1.0], reverse=False),
}


@pytest.fixture
def pair():
    """Clean images, and wrong ones to be projected."""
    rng = np.random.default_rng(0)
    shape = (2, SIZE, SIZE, CHANNELS)
    return [jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32) for _ in range(2)]


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("t", [1, 3])
def test_the_projection_matches_the_observation_exactly(name, t, pair):
    clean, wrong = pair
    degrade = bound(LINEAR[name], 2)
    x_t = degrade(clean, t)
    assert data_consistency(wrong, degrade, x_t, t=t).min() > 0.01 or "total" in name
    projected = project_onto_data(wrong, degrade, x_t, t=t, cutoff=1e-3)
    # A singular value below the cutoff leaves at most itself times a difference of 2.
    assert data_consistency(projected, degrade, x_t, t=t).max() < 2e-3
    twice = project_onto_data(projected, degrade, x_t, t=t, cutoff=1e-3)
    np.testing.assert_allclose(twice, projected, atol=2e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_the_projection_equals_the_pseudo_inverse_by_svd(name, pair):
    clean, wrong = (x[:1] for x in pair)
    degrade = bound(LINEAR[name], 1)
    cutoff = 0.03
    jacobian = jax.jacobian(lambda x: degrade(x.reshape(clean.shape), 3).ravel())
    matrix = np.asarray(jacobian(wrong.ravel()), np.float64)
    U, values, V = np.linalg.svd(matrix)
    inverted = np.where(values > cutoff, 1 / np.maximum(values, cutoff), 0.0)
    inverse = V.T @ np.diag(inverted) @ U.T
    x_T = degrade(clean, 3)
    residual = np.asarray(x_T - degrade(wrong, 3), np.float64).ravel()
    expected = wrong.ravel() + inverse @ residual
    projected = project_onto_data(wrong, degrade, x_T, cutoff=cutoff)
    np.testing.assert_allclose(projected.ravel(), expected, atol=2e-4)


def test_the_projection_works_under_jit_with_a_step_per_image(pair):
    clean, wrong = pair
    for name in ("reflected blur", "random mask", "partial desaturation"):
        degrade = bound(LINEAR[name], 2)
        t = jnp.array([0, 2])
        x_t = degrade(clean, t)

        @jax.jit
        def run(x, degrade, x_t, t):
            return project_onto_data(x, degrade, x_t, t=t, cutoff=1e-2)

        projected = run(wrong, degrade, x_t, t)
        np.testing.assert_allclose(projected[0], clean[0], atol=1e-6)
        # The two programs round differently, and dividing by singular values below
        # this cutoff would amplify the difference.
        alone = project_onto_data(wrong, degrade, degrade(clean, 2), t=2, cutoff=1e-2)
        np.testing.assert_allclose(projected[1], alone[1], atol=2e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_images_are_projected_in_float32(dtype, pair):
    clean, wrong = pair
    blur = LINEAR["reflected blur"]
    x_T, coarse = blur(clean, 3), wrong.astype(dtype)
    projected = project_onto_data(coarse, blur, x_T)
    assert projected.dtype == dtype
    exact = project_onto_data(coarse.astype(jnp.float32), blur, x_T)
    np.testing.assert_allclose(
        projected.astype(jnp.float32), exact, rtol=0.01, atol=0.01 * np.abs(exact).max()
    )


def test_a_tiny_cutoff_does_not_amplify_rounding_errors(photos):
    blur = cd.gaussian_blur(32, 20 * [1.0], kernel_size=5, padding="reflect")
    x_T = blur(photos, 20)
    projected = project_onto_data(0 * photos, blur, x_T, cutoff=1e-12)
    assert data_consistency(projected, blur, x_T).max() < 1e-4


def test_errors_in_the_observation_grow_by_at_most_one_over_the_cutoff(pair):
    clean, wrong = pair
    blur = LINEAR["reflected blur"]
    noise = 1e-2 * jax.random.normal(jax.random.key(0), clean.shape)
    x_T = blur(clean, 3)
    growths = []
    for cutoff in (1e-3, 0.1):
        change = project_onto_data(
            wrong, blur, x_T + noise, cutoff=cutoff
        ) - project_onto_data(wrong, blur, x_T, cutoff=cutoff)
        growths.append(float(jnp.linalg.norm(change) / jnp.linalg.norm(noise)))
        assert growths[-1] <= 1 / cutoff
    assert growths[0] > 10 * growths[1]


def test_a_degradation_without_a_pseudo_inverse_and_bad_arguments_raise(photos):
    snow = cd.snow(32, 3).bind(jax.random.key(0), photos.shape)
    with pytest.raises(TypeError, match=r"needs a degradation with .* got Snow"):
        project_onto_data(photos, snow, photos)
    with pytest.raises(ValueError, match="cutoff must be positive, got 0"):
        project_onto_data(photos, cd.fade([0.5]), photos, cutoff=0)
    with pytest.raises(ValueError, match="x_0 and x_T must have the same shape"):
        project_onto_data(photos, cd.fade([0.5]), photos[:2])


def test_data_consistency_is_the_rms_of_the_residual(photos):
    degrade = cd.pixelate(32, [16, 8], method="area")
    x_T = degrade(photos, 2)
    np.testing.assert_allclose(data_consistency(photos, degrade, x_T), 0, atol=1e-6)
    offsets = np.array([0.0, 0.1, -0.2, 0.5], np.float32)[:, None, None, None]
    distances = data_consistency(photos + offsets, degrade, x_T)
    np.testing.assert_allclose(distances, [0, 0.1, 0.2, 0.5], atol=1e-6)
    early = data_consistency(photos, degrade, degrade(photos, 1), t=1)
    np.testing.assert_allclose(early, 0, atol=1e-6)


def test_algorithm_2_keeps_the_observation_and_algorithm_1_does_not(photos):
    degrade = cd.pixelate(32, [16, 8], method="area")
    x_T = degrade(photos, 2)

    def wrong(x_t, t):
        return jnp.tanh(3 * x_t)

    alg1, alg2 = (
        data_consistency(sampler(wrong, degrade, x_T).x_0, degrade, x_T)
        for sampler in (cd.sample_alg1, cd.sample_alg2)
    )
    assert alg2.max() < 1e-5 and alg1.min() > 0.05


def test_different_shapes_raise(photos):
    with pytest.raises(ValueError, match="x_0 and x_T must have the same shape"):
        data_consistency(photos, cd.fade([0.5]), photos[:2])
