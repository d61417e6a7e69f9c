"""From images to batches."""

import contextlib
import os
import time

import jax
import numpy as np
import pytest
import skimage.transform
from PIL import Image

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


def stream(images, labels=None, *, workers=0, resize_to=10, **arguments):
    preprocessing = data.Preprocessing(image_size=8, resize_to=resize_to)
    indices = data.batch_indices(len(images), 6, seed=3, **arguments)
    return data.stream_batches(
        images, labels, preprocessing, indices, num_workers=workers
    )


def test_a_resumed_iterator_continues_exactly_where_the_first_would(images):
    whole = take(stream(images), 9)
    assert whole[0].images.shape == (6, 10, 10, 1)
    assert whole[0].images.dtype == np.uint8 and whole[0].labels is None
    resumed = take(stream(images, first_step=5), 4)
    for before, after in zip(whole[5:], resumed, strict=True):
        np.testing.assert_array_equal(before.images, after.images)


def test_every_epoch_shows_every_image_once_in_another_order():
    def epochs(seed):
        order = data.batch_indices(20, 5, seed=seed)
        return [np.concatenate([order[4 * i + j] for j in range(4)]) for i in range(2)]

    first, second = epochs(seed=0)
    assert set(first.tolist()) == set(second.tolist()) == set(range(20))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, epochs(seed=1)[0])


@pytest.mark.parametrize("first_step", [0, 3])
def test_the_shares_of_processes_make_up_the_batches(first_step):
    def batches(**share):
        order = data.batch_indices(20, 6, seed=0, first_step=first_step, **share)
        return np.stack([order[i] for i in range(5)])

    shares = [batches(share=(process, 3)) for process in range(3)]
    np.testing.assert_array_equal(np.concatenate(shares, axis=1), batches())


def test_labels_go_with_their_images(images):
    labels = np.arange(20, dtype=np.int32)
    for batch in take(stream(images[:, :8, :8], labels, resize_to=0), 4):
        expected = images[batch.labels, :8, :8]
        np.testing.assert_array_equal(batch.images, expected)


def test_processes_load_what_threads_load(images):
    threads, processes = (take(stream(images, workers=n), 3) for n in (0, 2))
    for one, other in zip(threads, processes, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_all_images_are_loaded_in_their_order(images):
    preprocessing = data.Preprocessing(image_size=8, resize_to=10)
    found = data.load_all(images, preprocessing)
    expected = np.stack([preprocessing.resize(image) for image in images])
    np.testing.assert_array_equal(found, expected)


def test_images_of_several_sizes_need_to_be_resized():
    mixed = [np.zeros((9, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)]
    preprocessing = data.Preprocessing(image_size=8)
    with pytest.raises(InputError, match=r"different sizes, \(8, 9, 3\) and \(9, 8, 3"):
        data.load_all(mixed, preprocessing)
    resized = data.load_all(mixed, data.Preprocessing(image_size=8, resize_to=8))
    assert resized.shape == (2, 8, 8, 3)


def test_resizing_and_the_central_cut_are_those_of_torchvision(images):
    preprocessing = data.Preprocessing(image_size=32, resize_to=35)
    resized = Image.fromarray(images[0, ..., 0]).resize(
        (35, 35), Image.Resampling.BILINEAR
    )
    # CenterCrop starts at round(3 / 2) = 2.
    expected = np.asarray(resized)[2:34, 2:34, None]
    np.testing.assert_array_equal(preprocessing.test(images[0]), expected)


def test_shrinking_smooths_before_it_samples():
    image = np.asarray(Image.linear_gradient("L").resize((64, 64)))[..., None]
    found = data.Preprocessing(image_size=16, resize_to=16).test(image)
    expected = skimage.transform.resize(image, (16, 16, 1), order=1, anti_aliasing=True)
    np.testing.assert_allclose(found / 255, expected, atol=0.03)


def test_the_shorter_side_is_resized_and_the_shape_kept():
    image = np.zeros((40, 20, 3), np.uint8)
    image[:20] = 255
    cut = data.Preprocessing(image_size=10, resize_to=10).test(image)
    assert cut.shape == (10, 10, 3)
    assert cut[0].mean() == 255 and cut[-1].mean() == 0


def augmented(preprocessing, image, count):
    keys = jax.random.split(jax.random.key(0), count)
    cut = jax.jit(preprocessing.augment)
    return np.asarray(cut(keys, np.repeat(image[None], count, axis=0)))


def test_random_cuts_reach_every_corner_and_flips_mirror():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    plain = data.Preprocessing(image_size=3, pad=1)
    cuts = {cut.tobytes() for cut in augmented(plain, image, 300)}
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    assert cuts == {
        padded[i : i + 3, j : j + 3].tobytes() for i in range(4) for j in range(4)
    }
    flipped = data.Preprocessing(image_size=4, flip=True)
    seen = {x.tobytes() for x in augmented(flipped, image, 50)}
    assert seen == {image.tobytes(), image[:, ::-1].tobytes()}


def test_the_published_augmentation_is_a_cut_of_32_from_35_and_a_flip(images):
    published = data.Preprocessing(image_size=32, resize_to=int(1.12 * 32), flip=True)
    resized = published.resize(images[0])
    assert resized.shape == (35, 35, 1)
    cuts = {
        resized[i : i + 32, j : j + 32][:, ::step].tobytes()
        for i in range(4)
        for j in range(4)
        for step in (1, -1)
    }
    assert {x.tobytes() for x in augmented(published, resized, 400)} == cuts


def test_a_key_alone_decides_what_becomes_of_an_image(images):
    preprocessing = data.Preprocessing(image_size=20, flip=True)
    keys = jax.random.split(jax.random.key(3), 20)
    whole = jax.jit(preprocessing.augment)(keys, images)
    some = jax.jit(preprocessing.augment)(jax.random.clone(keys)[5:9], images[5:9])
    np.testing.assert_array_equal(whole[5:9], some)


def test_bad_sizes_are_named(images):
    with pytest.raises(
        InputError, match=r"resize_to must be 0 or at least .* 32, got 30"
    ):
        data.Preprocessing(image_size=32, resize_to=30)
    with pytest.raises(
        InputError, match=r"28 x 28 pixels are smaller than data.image_size"
    ):
        data.Preprocessing(image_size=32).test(images[0])
    with pytest.raises(InputError, match=r"1, 3 or 4 channels can be resized, got 2"):
        data.Preprocessing(image_size=32, resize_to=32).test(
            np.zeros((9, 9, 2), np.uint8)
        )


def test_no_loader_outlives_a_process_that_is_killed(tmp_path):
    (tmp_path / "loading.py").write_text(LOADING)
    trainer = start(str(tmp_path / "loading.py"))
    assert trainer.stdout.readline() == "loaded\n"
    trainer.kill()
    trainer.communicate()
    deadline = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):  # No one is left in its group.
        while time.monotonic() < deadline:
            os.killpg(trainer.pid, 0)
            time.sleep(0.1)
