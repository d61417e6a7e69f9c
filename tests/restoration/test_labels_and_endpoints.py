"""A conditional run that blends with other images, from training to samples."""

import json
import pathlib

import chex
import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.restore import restore_images
from colddiff_jax.training import train_and_evaluate
from configs import animorph

T = 4


def make(**training):
    config = animorph.get_config("smoke")
    config.degradation.alphas_cumprod.num_steps = T
    config.model.update({"num_classes": 10, "channel_multipliers": (1,)})
    config.objective.label_dropout = 0.5
    config.training.update({"steps_per_call": 3, "log_every": 3})
    config.training.update(training)
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run of six steps with classes and endpoints."""
    workdir = str(tmp_path_factory.mktemp("finished"))
    return workdir, train_and_evaluate(make(), workdir).state


@pytest.fixture(scope="module")
def restorer(finished):
    return load_run(finished[0])


@pytest.fixture(scope="module")
def images(restorer):
    return images_of_run(restorer)


def test_three_and_three_steps_equal_six_bit_for_bit(finished, tmp_path):
    train_and_evaluate(make(num_steps=3), str(tmp_path))
    resumed = train_and_evaluate(make(), str(tmp_path)).state
    chex.assert_trees_all_equal(resumed, finished[1])


def test_evaluations_are_finite_and_the_loss_falls(finished):
    metrics = (pathlib.Path(finished[0]) / "metrics.jsonl").read_text()
    found = [json.loads(line) for line in metrics.splitlines()]
    found = [line for line in found if "test_loss" in line]
    assert [line["step"] for line in found] == [0, 3, 6]
    for line in found:
        assert all(np.isfinite(value) for value in line.values() if value is not None)
    assert found[-1]["test_loss"] < found[0]["test_loss"]


def restore(restorer, batch, **options):
    def sampler(*args, **keywords):
        return cd.sample_alg2(*args, return_trajectory=True, **keywords)

    options = {"start": T, "batch_size": 4} | options
    return restore_images(jax.random.key(0), restorer, batch, sampler, **options)


def test_a_loaded_run_restores_by_labels_with_guidance(restorer, images):
    batch = images.load(range(6))
    np.testing.assert_array_equal(batch.labels, images.labels[:6])
    null = batch._replace(labels=np.full(6, 10, np.int32))
    own, other, strong, none = (
        restore(restorer, batch, guidance=scale).result.x_0
        for batch, scale in (
            (batch, 1.0),
            (batch._replace(labels=(batch.labels + 1) % 10), 1.0),
            (batch, 3.0),
            (batch, 0.0),
        )
    )
    unconditional = restore(restorer, null).result.x_0
    np.testing.assert_allclose(none, unconditional, atol=1e-5)
    for x_0 in (other, strong, none):
        assert (
            np.isfinite(x_0).all() and (np.abs(x_0 - own).max((1, 2, 3)) > 1e-5).all()
        )


def test_images_are_blended_with_the_endpoints_of_their_indices(restorer, images):
    # Endpoints that differ from the images, and are fewer.
    images = images._replace(endpoints=images.endpoints[::-1][:4])
    batch = images.load(range(6))
    np.testing.assert_array_equal(batch.endpoints[4:], batch.endpoints[:2])
    clean, degraded, result = restore(restorer, batch, num_trajectories=5)
    np.testing.assert_allclose(clean, cd.to_float(batch.images), atol=1e-6)
    # The weight of the image in the blend at t = T.
    weight = float(restorer.model.degrade.image_weights[T])
    expected = cd.to_float(batch.endpoints) + weight * clean
    np.testing.assert_allclose(degraded, expected, atol=weight)
    assert weight < 0.02
    assert result.trajectory.shape == (5, T + 1, 16, 16, 1)
    np.testing.assert_array_equal(result.trajectory[:, 0], degraded[:5])
    assert np.isfinite(result.x_0).all()
