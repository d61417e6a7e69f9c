"""Scores on test images."""

import dataclasses

import jax
import numpy as np
import pytest
from colddiff_jax.training.evaluation import Evaluator

import colddiff_jax as cd
from colddiff_jax.data import Preprocessing, arrays, load_test_images
from colddiff_jax.training.options import METHODS
from colddiff_jax.training.task import build_experiment
from configs import mnist_mask
from tests.networks import random_parameters, tiny_unet


@pytest.fixture(scope="module")
def model():
    return tiny_unet()


@pytest.fixture(scope="module")
def test(golden):
    return golden["images32"][np.arange(10) % 4]


def make_experiment(model, test, **changes):
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 16}
    config["degradation"]["stds"] = (3.0, 3.0, 3.0)
    built = build_experiment(config, splits=arrays(test, test))
    return dataclasses.replace(built, model=model, **changes)


def evaluate(model, test, batch_size, num_images, num_examples=3):
    experiment = make_experiment(model, test)
    evaluator = Evaluator(experiment, batch_size=batch_size)
    params = random_parameters(model, (16, 16, 3))
    return evaluator(params, num_images, num_examples)


def test_scores_do_not_depend_on_the_batch_size_or_its_padding(model, test):
    one = evaluate(model, test, 4, 10, 5)
    other = evaluate(model, test, 12, 10, 5)
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    for method in METHODS:
        assert one.rmse[method] == pytest.approx(other.rmse[method], rel=1e-5)
        assert one.ssim[method] == pytest.approx(other.ssim[method], rel=1e-4)
    assert list(one.examples) == ["clean", "degraded", "direct", "alg1", "alg2"]
    for name in ("clean", *METHODS):
        assert one.examples[name].shape == (5, 16, 16, 3)
        np.testing.assert_allclose(one.examples[name], other.examples[name], atol=1e-5)


def test_scores_are_those_of_the_images(model, test):
    found = evaluate(model, test, 4, 8, 8)
    clean = found.examples["clean"]
    preprocessing = Preprocessing(image_size=16, resize_to=16)
    expected = cd.to_float(load_test_images(test, preprocessing, 0, 8))
    np.testing.assert_allclose(clean, expected, atol=1e-6)
    for method in METHODS:
        error = (found.examples[method] - clean) / 2
        assert found.rmse[method] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
        ssim = cd.metrics.ssim(found.examples[method], clean).mean()
        assert found.ssim[method] == pytest.approx(float(ssim), rel=1e-4)


def test_a_batch_that_does_not_divide_among_the_devices_is_named(model, test):
    assert jax.local_device_count() == 4
    with pytest.raises(cd.InputError, match=r"evaluation.batch_size must be .* got 6"):
        evaluate(model, test, 6, 6)


def test_the_loss_is_told_apart_by_severity(model, test):
    found = evaluate(model, test, 4, 10)
    assert len(found.quarters) == 4
    known = [loss for loss in found.quarters if not np.isnan(loss)]
    # T = 3: steps 1, 2 and 3 lie in the first, the second and the third quarter.
    assert np.isnan(found.quarters[3]) and len(known) >= 2
    assert min(known) < found.loss < max(known)
