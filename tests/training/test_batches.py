"""Batches for the training steps."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

from colddiff_jax.data import Batch, ImageSplits, arrays
from colddiff_jax.training.batches import gather, open_batches, resident_limit
from colddiff_jax.training.options import EvaluationOptions, fit_evaluation
from colddiff_jax.training.task import build_model_and_task
from configs import mnist_mask


def test_images_may_take_a_quarter_of_a_device_of_known_memory():
    assert resident_limit(None, {"bytes_limit": 80_000}) == 20_000
    assert resident_limit(None, None) == resident_limit(None, {}) == 2e9


def test_a_given_limit_does_not_depend_on_the_device():
    assert resident_limit(0, {"bytes_limit": 80_000}) == 0
    assert resident_limit(3, None) == 3e6


def test_gather_takes_labels_with_their_images_and_endpoints_by_their_own_indices():
    resident = Batch(np.arange(5), 10 * np.arange(5), 100 * np.arange(3))
    found = gather(resident, Batch(np.array([4, 1]), None, np.array([2, 0])))
    np.testing.assert_array_equal(found.images, [4, 1])
    np.testing.assert_array_equal(found.labels, [40, 10])
    np.testing.assert_array_equal(found.endpoints, [200, 0])
    alone = gather(Batch(np.arange(5)), Batch(np.array([3])))
    assert alone.images == [3] and alone.labels is None and alone.endpoints is None


def make_task(**training):
    config = mnist_mask.get_config("smoke")
    config.training.update({"batch_size": 4, **training})
    config.evaluation.num_images = 1
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 1), np.uint8)
    _, task = build_model_and_task(config, splits=arrays(images, images))
    return task


def test_streamed_batches_are_the_resident_images_at_the_same_indices():
    with open_batches(make_task(), 1) as resident:
        assert resident.text == "8 training images (0.0 MB), on every device"
        indices = [next(resident.batches).images for _ in range(3)]
    with open_batches(make_task(resident_mb=0), 1) as streamed:
        assert streamed.text == "8 training images (0.0 MB), streamed"
        assert streamed.resident is None
        images = [next(streamed.batches).images for _ in range(3)]
    for chosen, found in zip(indices, images, strict=True):
        assert chosen.shape == (4, 1, 1)
        np.testing.assert_array_equal(resident.resident.images[chosen], found)


def test_workers_start_at_once_and_ignore_ctrl_c_from_the_start():
    task = make_task(resident_mb=0, num_workers=2)
    interrupted = []

    def ctrl_c():
        while len(interrupted) < 600:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGINT)
                interrupted.append(worker.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=ctrl_c, daemon=True)
    thread.start()
    with open_batches(task, 0) as training:
        thread.join(60)  # No batch has been requested yet.
        assert len(set(interrupted)) == 2
        assert next(training.batches).images.shape == (4, 1, 1, 32, 32, 1)


@pytest.mark.parametrize("first_step", [0, 1])
def test_windows_of_photographs_are_the_same_in_memory_and_decoded(first_step):
    rng = np.random.default_rng(0)
    sizes = [(40, 33), (32, 50), (64, 64)]
    photos = [rng.integers(0, 256, (*size, 1), np.uint8) for size in sizes]
    config = mnist_mask.get_config("smoke")
    config.data.update({"resize_to": 0, "crop": True})
    config.training.batch_size = 8
    found = []
    for limit, text in (
        (None, "3 training images (0.0 MB), in the host's memory"),
        (0, "3 training images (over training.resident_mb = 0 MB), decoded for every"),
    ):
        config.training.resident_mb = limit
        _, task = build_model_and_task(config, splits=ImageSplits(photos, photos))
        with open_batches(task, first_step) as training:
            assert training.resident is None and training.text.startswith(text)
            found.append([next(training.batches).images for _ in range(3)])
        with open_batches(task, first_step + 2) as resumed:
            np.testing.assert_array_equal(next(resumed.batches).images, found[-1][2])
    np.testing.assert_array_equal(*found)
    assert found[0][0].shape[-3:] == (32, 32, 1)


def test_a_batch_may_be_larger_than_the_set():
    config = mnist_mask.get_config("smoke")
    config.training.update({"batch_size": 8, "resident_mb": 0})
    images = np.arange(3, dtype=np.uint8).repeat(32 * 32).reshape(3, 32, 32, 1)
    _, task = build_model_and_task(config, splits=ImageSplits(images, images))
    with open_batches(task, 0) as training:
        shown = np.asarray(next(training.batches).images)[..., 0, 0, 0]
    assert sorted(np.bincount(shown.ravel())) == [2, 3, 3]


@pytest.mark.parametrize(
    ("available", "expected"), [(100, (20, 8)), (12, (12, 8)), (5, (5, 8)), (3, (3, 4))]
)
def test_evaluations_score_what_there_is_and_restore_no_padding(available, expected):
    options = EvaluationOptions(num_images=20, batch_size=8)
    fitted = fit_evaluation(options, available)
    assert (fitted.num_images, fitted.batch_size) == expected
    assert fitted.best_by == options.best_by
