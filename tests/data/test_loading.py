"""The order and the loading of batches."""

import contextlib
import os
import time

import numpy as np
import pytest

from colddiff_jax import InputError, data
from tests.subprocesses import start

LOADING = """
import numpy as np
from colddiff_jax import data

if __name__ == "__main__":
    images = np.zeros((20, 8, 8, 1), np.uint8)
    batches = data.stream_batches(
        images, None, data.Preprocessing(image_size=8),
        data.batch_indices(20, 6, seed=0), num_workers=2,
    )
    next(batches)
    print("loaded", flush=True)
    while True:
        next(batches)
"""


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)


def take(batches, count):
    with contextlib.closing(batches):
        return [next(batches) for _ in range(count)]


def stream(images, labels=None, *, num_workers=0, resize_to=10, **arguments):
    preprocessing = data.Preprocessing(image_size=8, resize_to=resize_to)
    indices = data.batch_indices(len(images), 6, seed=3, **arguments)
    return data.stream_batches(
        images, labels, preprocessing, indices, num_workers=num_workers
    )


def test_a_resumed_iterator_continues_exactly(images):
    whole = take(stream(images), 9)
    assert whole[0].images.shape == (6, 10, 10, 1)
    assert whole[0].images.dtype == np.uint8 and whole[0].labels is None
    resumed = take(stream(images, first_step=5), 4)
    for before, after in zip(whole[5:], resumed, strict=True):
        np.testing.assert_array_equal(before.images, after.images)


def test_every_epoch_shuffles_all_images_anew():
    def epochs(seed):
        order = data.batch_indices(20, 5, seed=seed)
        return [np.concatenate([order[4 * i + j] for j in range(4)]) for i in range(2)]

    first, second = epochs(seed=0)
    assert set(first.tolist()) == set(second.tolist()) == set(range(20))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, epochs(seed=1)[0])


@pytest.mark.parametrize("first_step", [0, 3])
def test_the_shards_of_processes_make_up_the_batches(first_step):
    def batches(**share):
        order = data.batch_indices(20, 6, seed=0, first_step=first_step, **share)
        return np.stack([order[i] for i in range(5)])

    shards = [batches(shard=(process, 3)) for process in range(3)]
    np.testing.assert_array_equal(np.concatenate(shards, axis=1), batches())


def test_labels_match_their_images(images):
    labels = np.arange(20, dtype=np.int32)
    for batch in take(stream(images[:, :8, :8], labels, resize_to=0), 4):
        expected = images[batch.labels, :8, :8]
        np.testing.assert_array_equal(batch.images, expected)


def test_processes_and_threads_load_the_same_batches(images):
    threads, processes = (take(stream(images, num_workers=n), 3) for n in (0, 2))
    for one, other in zip(threads, processes, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_load_all_keeps_the_order(images):
    preprocessing = data.Preprocessing(image_size=8, resize_to=10)
    found = data.load_all(images, preprocessing)
    expected = np.stack([preprocessing.resize(image) for image in images])
    np.testing.assert_array_equal(found, expected)


def test_images_of_different_sizes_must_be_resized():
    mixed = [np.zeros((9, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)]
    preprocessing = data.Preprocessing(image_size=8)
    with pytest.raises(InputError, match=r"different sizes, \(8, 9, 3\) and \(9, 8, 3"):
        data.load_all(mixed, preprocessing)
    resized = data.load_all(mixed, data.Preprocessing(image_size=8, resize_to=8))
    assert resized.shape == (2, 8, 8, 3)


def test_workers_end_when_the_training_process_is_killed(tmp_path):
    (tmp_path / "loading.py").write_text(LOADING)
    trainer = start(str(tmp_path / "loading.py"))
    assert trainer.stdout.readline() == "loaded\n"
    trainer.kill()
    trainer.communicate()
    deadline = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):  # Its process group is empty.
        while time.monotonic() < deadline:
            os.killpg(trainer.pid, 0)
            time.sleep(0.1)
