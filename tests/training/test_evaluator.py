"""Scores of an evaluation during training."""

import dataclasses

import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.data import Preprocessing, arrays, load_test_images
from colddiff_jax.restoration.image_set import split_of
from colddiff_jax.training.evaluator import Evaluator
from colddiff_jax.training.task import build_model_and_task
from configs import mnist_mask
from tests.networks import random_parameters, tiny_unet

SCORED = ("degraded", "direct", "alg1", "alg2")


@pytest.fixture(scope="module")
def images(golden):
    return golden["images32"][np.arange(10) % 4]


def evaluate(images, batch_size, num_images, num_examples=3):
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 16}
    config["degradation"]["stds"] = (3.0, 3.0, 3.0)
    model, task = build_model_and_task(config, splits=arrays(images, images))
    model = dataclasses.replace(model, network=tiny_unet())
    evaluator = Evaluator(
        model,
        split_of(task.data, task.preprocessing),
        seed=task.seed,
        batch_size=batch_size,
    )
    params = random_parameters(model.network, (16, 16, 3))
    return evaluator(params, num_images, num_examples)


def test_scores_do_not_depend_on_the_batch_size_or_its_padding(images):
    one = evaluate(images, 4, 10, 5)
    other = evaluate(images, 12, 10, 5)
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    for name in SCORED:
        assert one.rmse[name] == pytest.approx(other.rmse[name], rel=1e-5)
        assert one.ssim[name] == pytest.approx(other.ssim[name], rel=1e-4)
    assert list(one.examples) == ["clean", "degraded", "direct", "alg1", "alg2"]
    for name in ("clean", *SCORED):
        assert one.examples[name].shape == (5, 16, 16, 3)
        assert one.examples[name].dtype == np.uint8
        pairs = (one.examples[name], other.examples[name])
        difference = np.abs(np.subtract(*pairs, dtype=np.float32))
        assert difference.max() <= 1 and difference.mean() < 1e-3  # Rounding alone.


def test_scores_are_computed_from_the_example_images(images):
    found = evaluate(images, 4, 8, 8)
    preprocessing = Preprocessing(image_size=16, resize_to=16)
    expected = load_test_images(images, preprocessing, 0, 8)
    np.testing.assert_array_equal(found.examples["clean"], expected)
    clean = cd.to_float(expected)
    for name in SCORED:
        restored = cd.to_float(found.examples[name])
        error = (restored - clean) / 2
        assert found.rmse[name] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
        ssim = cd.metrics.ssim(restored, clean).mean()
        assert found.ssim[name] == pytest.approx(float(ssim), rel=1e-4)


def test_a_batch_size_that_the_devices_do_not_divide_raises(images):
    assert jax.local_device_count() == 4
    message = r"`evaluation.batch_size` must be .* got 6"
    with pytest.raises(cd.InputError, match=message):
        evaluate(images, 6, 6)


def test_the_loss_is_reported_by_severity(images):
    found = evaluate(images, 4, 10)
    assert len(found.quarters) == 4
    known = [loss for loss in found.quarters if not np.isnan(loss)]
    # T = 3: steps 1, 2 and 3 lie in the first, the second and the third quarter.
    assert np.isnan(found.quarters[3]) and len(known) >= 2
    assert min(known) < found.loss < max(known)
