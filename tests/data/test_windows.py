"""Random windows of photographs of different sizes."""

import contextlib

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, data

CROP = data.Preprocessing(image_size=8, crop=True)


@pytest.fixture
def photos():
    """Five images of different sizes, all pixels of which are different."""
    sizes = [(9, 20), (8, 8), (30, 11), (16, 12), (10, 10)]
    first = np.cumsum([0, *(height * width for height, width in sizes)])
    return [
        np.arange(start, start + h * w, dtype="<u4").view(np.uint8).reshape(h, w, 4)
        for start, (h, w) in zip(first, sizes, strict=False)
    ]


def take(photos, count, *, num_workers=0, labels=None, **arguments):
    order = data.batch_windows(len(photos), 16, seed=3, **arguments)
    batches = data.stream_batches(photos, labels, CROP, order, num_workers=num_workers)
    with contextlib.closing(batches):
        return [next(batches) for _ in range(count)]


def test_a_batch_larger_than_the_set_has_different_windows_of_the_same_images(photos):
    labels = np.arange(5, dtype=np.int32)
    (batch,) = take(photos, 1, labels=labels)
    assert batch.images.shape == (16, 8, 8, 4) and batch.images.dtype == np.uint8
    assert sorted(np.bincount(batch.labels)) == [3, 3, 3, 3, 4]
    for window, label in zip(batch.images, batch.labels, strict=True):
        pixels = window.view("<u4")[..., 0]
        photo = photos[label].view("<u4")[..., 0]
        (top,), (left,) = np.nonzero(photo == pixels[0, 0])
        np.testing.assert_array_equal(pixels, photo[top : top + 8, left : left + 8])
    of_one = [w.tobytes() for w in batch.images[batch.labels == 2]]
    assert len(set(of_one)) == len(of_one) >= 3


def test_windows_show_the_images_of_batch_indices():
    windows = data.batch_windows(20, 6, seed=0)
    indices = data.batch_indices(20, 6, seed=0)
    for step in range(5):
        np.testing.assert_array_equal(windows[step].indices, indices[step])


def test_places_of_windows_are_uniform_and_new_in_every_epoch():
    places = np.concatenate(
        [data.batch_windows(20, 20, seed=0)[step].places for step in range(100)]
    )
    assert len(np.unique(places)) == places.size
    np.testing.assert_allclose(np.histogram(places, 4, (0, 1))[0], 1000, atol=110)
    assert not np.isin(data.batch_windows(20, 20, seed=1)[0].places, places).any()


@pytest.mark.parametrize("first_step", [0, 3])
def test_the_shards_of_processes_make_up_the_batches_of_windows(first_step):
    def batches(**share):
        order = data.batch_windows(20, 6, seed=0, first_step=first_step, **share)
        return order.batch(5)[0]

    shards = [batches(shard=(process, 3)) for process in range(3)]
    for field, whole in zip(zip(*shards, strict=True), batches(), strict=True):
        np.testing.assert_array_equal(np.concatenate(field, axis=1), whole)


def test_a_resumed_iterator_continues_with_the_same_windows(photos):
    whole, resumed = take(photos, 4), take(photos, 2, first_step=2)
    for before, after in zip(whole[2:], resumed, strict=True):
        np.testing.assert_array_equal(before.images, after.images)


def test_processes_and_threads_cut_the_same_windows(photos):
    threads, processes = (take(photos, 2, num_workers=n) for n in (0, 2))
    for one, other in zip(threads, processes, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_sets_are_loaded_in_order_if_they_fit_together(photos):
    size = sum(photo.nbytes for photo in photos)
    first, second = data.load_if_small([photos[:2], photos[2:]], CROP, size)
    for found, photo in zip(first + second, photos, strict=True):
        np.testing.assert_array_equal(found, photo)
    assert data.load_if_small([photos], CROP, size - 1) is None


def test_a_photograph_smaller_than_the_window_raises_with_the_name_of_its_file(
    photos, tmp_path
):
    for i, side in enumerate((9, 7)):
        pixels = np.zeros((side, 12, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    files = data.images_in_folder(str(tmp_path))
    message = r"1.png: images of 7 x 12 pixels are smaller than `data.image_size` = 8"
    with pytest.raises(InputError, match=message):
        data.load_if_small([files], CROP, 1e9)
    with pytest.raises(InputError, match=message):
        data.load_windows(files, CROP, data.batch_windows(2, 4, seed=0)[0])
    with pytest.raises(InputError, match="image 1: images of 7 x 8 pixels are smaller"):
        data.load_image([photos[0], photos[1][:7]], 1, CROP.test)
