"""The prior of a run: fitted, saved, loaded."""

import jax
import numpy as np
import pytest

from colddiff_jax.checks import InputError
from colddiff_jax.data import ImageSplits, Preprocessing
from colddiff_jax.degradations import Noisy
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.experiment.data import RunData
from colddiff_jax.experiment.prior import (
    check_prior,
    load_prior,
    measure_prior,
    prior_of,
    save_prior,
)
from colddiff_jax.sampling import (
    ColorPrior,
    EmpiricalPrior,
    MixturePrior,
    NormalPrior,
    PerturbedPrior,
)

SIZE = 8
SHAPE = (SIZE, SIZE, 3)
COSINE = {"name": "cosine", "num_steps": 4}
MEAN = {"name": "gaussian_blur", "stds": (3.0, 3.0), "kernel_size": 3, "to_mean": True}
NOISE = {"name": "gaussian_noise", "alphas_cumprod": COSINE}
COLOR = {"name": "fade_to_color", "stds": (1.0, 2.0)}
OTHERS = {"name": "animorph", "alphas_cumprod": COSINE}


def images(count, seed=0):
    colors = np.random.default_rng(seed).integers(40, 200, (count, 1, 1, 3))
    return np.broadcast_to(colors, (count, *SHAPE)).astype(np.uint8)


def configured(degradation, **prior):
    """Returns a configuration, D, and the options of its prior."""
    config = {
        "degradation": degradation,
        "data": {"image_size": SIZE},
        "prior": prior,
    }
    degrade = make_degradation(degradation, SIZE)
    return config, degrade, check_prior(config, degrade)


def measured(degradation, **prior):
    """Returns the prior of a run on images of one colour each."""
    config, degrade, options = configured(degradation, **prior)
    others = None
    if degradation["name"] == "animorph":
        others = ImageSplits(images(30, seed=1), images(2))
    data = RunData(ImageSplits(images(400), images(2)), others)
    arrays = measure_prior(options, degrade, data, Preprocessing(image_size=SIZE), 0)
    return prior_of(config, degrade, SHAPE, arrays), arrays


def test_a_mixture_has_the_mean_and_covariance_of_colours():
    prior, _ = measured(MEAN, block=1)
    assert isinstance(prior, MixturePrior)
    colors = images(400)[:, 0, 0].astype(float) / 127.5 - 1
    draws = np.asarray(prior.sample(jax.random.key(0), 4000))[:, 3, 5]
    np.testing.assert_allclose(draws.mean(axis=0), colors.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(colors.T), atol=0.02)


def test_the_blocks_and_noise_of_a_prior_survive_saving(tmp_path):
    prior, arrays = measured(MEAN, block=2, components=2, noise_std=0.002)
    assert isinstance(prior, PerturbedPrior) and prior.prior.block == 2
    save_prior(arrays, str(tmp_path))
    config, degrade, _ = configured(MEAN, block=2, components=2, noise_std=0.002)
    loaded = prior_of(config, degrade, SHAPE, load_prior(str(tmp_path)))
    np.testing.assert_array_equal(
        loaded.sample(jax.random.key(1), 3), prior.sample(jax.random.key(1), 3)
    )


def test_noise_of_the_degradation_is_not_part_of_the_fitted_prior():
    noisy = MEAN | {"noise_stds": (0.5, 0.9)}
    assert isinstance(make_degradation(noisy, SIZE), Noisy)
    for name, array in measured(MEAN, block=1)[1].items():
        np.testing.assert_array_equal(measured(noisy, block=1)[1][name], array)


def test_degraded_training_images_are_a_prior():
    prior, arrays = measured(MEAN | {"noise_stds": (0.5, 0.9)}, images=7)
    assert isinstance(prior, EmpiricalPrior)
    expected = images(400)[np.linspace(0, 399, 7).round().astype(int)]
    np.testing.assert_allclose(arrays["images"].astype(int), expected, atol=1)


def test_noise_colours_and_other_images_are_their_own_priors(tmp_path):
    assert isinstance(measured(NOISE)[0], NormalPrior)
    assert isinstance(measured(COLOR)[0], ColorPrior)
    prior, arrays = measured(OTHERS)
    assert isinstance(prior, EmpiricalPrior) and arrays["images"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["images"], images(30, seed=1))
    save_prior(arrays, str(tmp_path))
    np.testing.assert_array_equal(load_prior(str(tmp_path))["images"], arrays["images"])


def test_other_images_have_the_noise_of_training():
    prior, _ = measured(OTHERS | {"endpoint_noise": 0.5})
    assert isinstance(prior, PerturbedPrior) and prior.std == 0.5
    assert isinstance(prior.prior, EmpiricalPrior)


def test_a_run_without_a_prior_saves_none(tmp_path):
    prior, arrays = measured(MEAN)
    save_prior(arrays, str(tmp_path))
    assert prior is None and not list(tmp_path.iterdir())
    assert load_prior(str(tmp_path)) == {}


@pytest.mark.parametrize(
    ("degradation", "prior", "message"),
    [
        (MEAN, {"block": 3}, "`prior.block` must divide `data.image_size` = 8, got 3"),
        (MEAN, {"block": -1}, "`prior.block` must be an integer of at least 0"),
        (MEAN, {"components": 0}, "`prior.components` must be a positive integer"),
        (MEAN, {"noise_std": -0.1}, "`prior.noise_std` must not be negative"),
        (NOISE, {"block": 1}, "`prior.block` must be 0, since gaussian_noise has its"),
        (MEAN, {"block": 1, "images": 5}, "`prior.block` and `prior.images` are two"),
        (COLOR, {"noise_std": 0.1}, "`prior.noise_std` must be 0, since fade_to_color"),
    ],
)
def test_options_that_do_not_fit_raise(degradation, prior, message):
    with pytest.raises(InputError, match=message):
        configured(degradation, **prior)


def test_a_damaged_file_raises(tmp_path):
    (tmp_path / "prior.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(InputError, match=r"prior.npz is damaged; the same training"):
        load_prior(str(tmp_path))
