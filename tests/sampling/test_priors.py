"""Priors: where x_T comes from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import sampling
from colddiff_jax.prng import indexed_keys


def key(seed=0):
    return jax.random.key(seed)


def known_mixture(n):
    """Returns images [n, 8, 8, 1] of 2 x 2 blocks from a known mixture."""
    rng = np.random.default_rng(0)
    means = np.array([[-0.5, -0.4, 0.0, 0.2], [0.5, 0.3, 0.6, -0.2]])
    factor = 0.1 * np.tril(rng.normal(size=(2, 4, 4))) + 0.05 * np.eye(4)
    which = rng.random(n) < 0.25
    component = np.where(which, 0, 1)
    normal = rng.normal(size=(n, 4))
    values = means[component] + np.einsum("nij,nj->ni", factor[component], normal)
    blocks = values.reshape(n, 2, 2, 1).repeat(4, 1).repeat(4, 2).astype(np.float32)
    return blocks, means, factor @ factor.swapaxes(1, 2)


def test_a_known_mixture_is_recovered():
    x_0, means, covariances = known_mixture(4000)
    degrade = cd.pixelate(8, [4, 2], method="area")
    prior = sampling.fit_prior(x_0, degrade, block=2, components=2)
    order = np.argsort(np.asarray(prior.means)[:, 0])
    np.testing.assert_allclose(
        np.exp(prior.log_weights)[order], [0.25, 0.75], atol=0.03
    )
    np.testing.assert_allclose(np.asarray(prior.means)[order], means, atol=0.02)
    found = np.asarray(prior.factors @ prior.factors.swapaxes(1, 2))[order]
    np.testing.assert_allclose(found, covariances, atol=0.005)
    x_T = np.asarray(prior.sample(key(), 4000))
    assert x_T.shape == (4000, 8, 8, 1)
    np.testing.assert_allclose(x_T, degrade(jnp.asarray(x_T), 2), atol=1e-6)
    values = x_T[:, ::4, ::4].reshape(4000, 4)
    expected = x_0[:, ::4, ::4].reshape(4000, 4)
    np.testing.assert_allclose(values.mean(0), expected.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(values.T), np.cov(expected.T), atol=0.02)


def test_the_papers_prior_is_a_gaussian_of_the_mean_colour():
    rng = np.random.default_rng(1)
    x_0 = rng.uniform(-1, 1, (600, 8, 8, 3)).astype(np.float32)
    x_0 *= rng.uniform(0, 1, (600, 1, 1, 1)).astype(np.float32)
    blur = cd.gaussian_blur(8, 3 * [2.0], kernel_size=3, to_mean=True)
    prior = sampling.fit_prior(x_0, blur)
    colors = x_0.mean(axis=(1, 2))
    np.testing.assert_allclose(prior.means[0], colors.mean(0), atol=1e-5)
    covariance = np.asarray(prior.factors[0] @ prior.factors[0].T)
    np.testing.assert_allclose(covariance, np.cov(colors.T, bias=True), atol=1e-4)
    x_T = prior.sample(key(), 2)
    np.testing.assert_array_equal(x_T, jnp.broadcast_to(x_T[:, :1, :1], x_T.shape))


PRIORS = {
    "mixture": lambda: sampling.fit_prior(
        known_mixture(50)[0], cd.pixelate(8, [2], method="area"), block=2, components=2
    ),
    "empirical": lambda: sampling.EmpiricalPrior(
        jax.random.normal(jax.random.key(1), (10, 8, 8, 1))
    ),
    "normal": lambda: sampling.NormalPrior((8, 8, 1)),
    "colour": lambda: sampling.ColorPrior(jnp.array([-0.5, 0.5]), (8, 8, 1)),
    "perturbed": lambda: sampling.PerturbedPrior(
        sampling.ColorPrior(jnp.array([-0.5, 0.5]), (8, 8, 1)), 0.002
    ),
}


@pytest.mark.parametrize("name", PRIORS)
def test_an_image_depends_on_the_key_and_its_index_alone(name):
    prior = PRIORS[name]()
    assert prior.image_shape == (8, 8, 1)
    x_T = prior.sample(key(), 7)
    assert x_T.shape == (7, 8, 8, 1) and x_T.dtype == jnp.float32
    np.testing.assert_array_equal(prior.sample(key(), 3), x_T[:3])
    inside = jax.jit(lambda prior, keys: prior.draw(keys))
    np.testing.assert_allclose(
        inside(prior, indexed_keys(key(), jnp.arange(4, 7))), x_T[4:], atol=1e-6
    )
    assert len({image.tobytes() for image in np.asarray(x_T)}) >= 4
    assert np.abs(np.asarray(prior.sample(jax.random.key(1), 7) - x_T)).max() > 0.01


def test_broken_symmetry_adds_noise_of_the_given_deviation():
    x_T = jnp.full((50, 16, 16, 1), 0.5)
    noise = np.asarray(sampling.break_symmetry(x_T, key=key(), std=0.01) - x_T)
    assert abs(noise.std() - 0.01) < 2e-4
    assert (
        abs(np.asarray(sampling.break_symmetry(x_T, key=key()) - x_T).std() - 0.002)
        < 5e-5
    )


def test_an_empirical_prior_draws_all_of_its_images():
    images = jnp.arange(5.0).reshape(5, 1, 1, 1)
    drawn = np.asarray(sampling.EmpiricalPrior(images).sample(key(), 500)).ravel()
    assert (np.bincount(drawn.astype(int), minlength=5) > 60).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 3}, "block must divide the sides .* 8 x 8 pixels, got 3"),
        ({"components": 30}, "at most half the number of images, 50, got 30"),
        ({"components": 0}, "components must be a positive integer"),
    ],
)
def test_wrong_options_raise(options, message):
    x_0 = known_mixture(50)[0]
    with pytest.raises(ValueError, match=message):
        sampling.fit_prior(x_0, cd.fade([0.0]), **options)


def test_images_between_two_draws_lie_on_a_line_or_a_great_circle():
    flat = sampling.EmpiricalPrior(jnp.arange(40.0).reshape(40, 1, 1, 1))
    ends = flat.draw(indexed_keys(key(), jnp.arange(2)))
    line = sampling.interpolated(flat, key=key(), n=5)
    np.testing.assert_allclose(
        line.ravel(), np.linspace(ends[0].item(), ends[1].item(), 5), rtol=1e-6
    )
    normal = sampling.NormalPrior((64, 64, 3))
    circle = np.asarray(sampling.interpolated(normal, key=key(), n=5))
    np.testing.assert_allclose(circle[0], normal.sample(key(), 1)[0], atol=1e-6)
    np.testing.assert_allclose(circle.std(axis=(1, 2, 3)), 1, atol=0.03)


def test_noise_on_draws_is_the_same_in_all_images_between_two():
    flat = sampling.EmpiricalPrior(jnp.zeros((1, 8, 8, 1)))
    images = sampling.interpolated(sampling.PerturbedPrior(flat, 0.1), key=key(), n=4)
    assert images.std() > 0.05
    np.testing.assert_array_equal(images, images[:1].repeat(4, axis=0))
    with pytest.raises(ValueError, match="n must be an integer of at least 2, got 1"):
        sampling.interpolated(flat, key=key(), n=1)
