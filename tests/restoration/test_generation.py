"""Images generated from priors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError, sampling
from colddiff_jax.restoration import generation
from tests.restoration.small_restorers import make_restorer

COSINE = {"name": "cosine", "num_steps": 4}
DEGRADATIONS = {
    "blur": {"name": "gaussian_blur", "stds": (3.0, 3.0), "kernel_size": 5,
             "to_mean": True},
    "mask": {"name": "gaussian_mask", "stds": (3.0, 6.0), "center": "random"},
    "noise": {"name": "gaussian_noise", "alphas_cumprod": COSINE},
    "colour": {"name": "fade_to_color", "stds": (1.0, 2.0, 3.0)},
    "other images": {"name": "animorph", "alphas_cumprod": COSINE},
}  # fmt: skip
PRIOR = sampling.EmpiricalPrior(
    jax.random.normal(jax.random.key(9), (40, 32, 32, 3)) / 2
)


def key():
    return jax.random.key(3)


@pytest.fixture(params=DEGRADATIONS)
def kind(request):
    return request.param


def own(kind):
    return None if kind in ("noise", "colour") else PRIOR


def test_an_image_depends_on_the_key_and_its_index_alone(kind, monkeypatch):
    restorer = make_restorer(DEGRADATIONS[kind])
    images = restorer.generate(5, key(), prior=own(kind))
    assert images.shape == (5, 32, 32, 3) and images.dtype == np.float32
    np.testing.assert_allclose(
        restorer.generate(2, key(), prior=own(kind)), images[:2], atol=2e-5
    )
    monkeypatch.setattr(generation, "_BATCH_SIZE", 2)
    np.testing.assert_allclose(
        restorer.generate(5, key(), prior=own(kind)), images, atol=2e-5
    )
    assert np.abs(images[0] - images[1]).max() > 1e-3


def test_generation_is_the_sampler_on_draws_of_the_prior():
    restorer = make_restorer(DEGRADATIONS["blur"])
    prior_key, _, _ = jax.random.split(key(), 3)
    x_T = PRIOR.sample(prior_key, 3)
    expected = jax.jit(cd.sample_alg2)(restorer.restore_fn, restorer.degradation, x_T)
    images = restorer.generate(3, key(), prior=PRIOR)
    np.testing.assert_allclose(images, expected.x_0, atol=2e-5)


def test_noise_is_estimated_and_colours_are_kept_by_default():
    noise = make_restorer(DEGRADATIONS["noise"])
    images = {
        endpoint: noise.generate(2, key(), endpoint=endpoint)
        for endpoint in (None, "estimated", "fixed")
    }
    np.testing.assert_array_equal(images[None], images["estimated"])
    assert np.abs(images[None] - images["fixed"]).max() > 1e-3
    color = make_restorer(DEGRADATIONS["colour"])
    np.testing.assert_array_equal(
        color.generate(2, key()), color.generate(2, key(), endpoint="fixed")
    )


def test_noise_of_a_degradation_is_added_to_its_prior():
    restorer = make_restorer(DEGRADATIONS["blur"])
    degrade = cd.noisy(restorer.degradation, [0.1, 0.3])
    model = dataclasses.replace(restorer.model, degrade=degrade)
    flat = sampling.EmpiricalPrior(jnp.zeros((1, 32, 32, 3)))
    x_T = generation.prior_for(model, flat).sample(key(), 4)
    assert abs(float(x_T.std()) - 0.3) < 0.01


def test_missing_and_wrong_priors_raise():
    blur = make_restorer(DEGRADATIONS["blur"])
    with pytest.raises(InputError, match="give a `prior`, such as sampling"):
        blur.generate(2, key())
    with pytest.raises(InputError, match=r"of shape \(32, 32, 3\), got \(8, 8, 3\)"):
        blur.generate(2, key(), prior=sampling.NormalPrior((8, 8, 3)))
    with pytest.raises(InputError, match=r"`steps` must lie in 1\.\.2, got 3"):
        blur.generate(2, key(), prior=PRIOR, steps=3)
    with pytest.raises(ValueError, match="n must be a positive integer"):
        blur.generate(0, key(), prior=PRIOR)
