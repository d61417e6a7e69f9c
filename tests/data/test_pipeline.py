"""From images to batches."""

import numpy as np
import pytest
import skimage.transform
from PIL import Image

from colddiff_jax import InputError, data


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)


def test_a_resumed_iterator_continues_exactly_where_the_first_would(images):
    preprocessing = data.Preprocessing(image_size=8, resize_to=10, pad=1, flip=True)

    def take(first_step, count):
        batches = data.train_batches(
            images, preprocessing, 6, seed=3, first_step=first_step
        )
        return [next(batches) for _ in range(count)]

    whole = take(0, 9)
    assert whole[0].shape == (6, 8, 8, 1) and whole[0].dtype == np.uint8
    np.testing.assert_array_equal(whole[5:], take(5, 4))


def test_every_epoch_shows_every_image_once_in_another_order(images):
    images = images[:, :8, :8]
    preprocessing = data.Preprocessing(image_size=8)
    batches = data.train_batches(images, preprocessing, 5, seed=0)
    epochs = [np.concatenate([next(batches) for _ in range(4)]) for _ in range(2)]
    for epoch in epochs:
        assert {x.tobytes() for x in epoch} == {x.tobytes() for x in images}
    assert not np.array_equal(*epochs)
    other = data.train_batches(images, preprocessing, 5, seed=1)
    assert not np.array_equal(next(other), epochs[0][:5])


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


def test_random_cuts_reach_every_corner_and_flips_mirror():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    rng = np.random.default_rng(0)
    plain = data.Preprocessing(image_size=3, pad=1)
    cuts = {plain.train(image, rng).tobytes() for _ in range(300)}
    assert len(cuts) == 16
    flipped = data.Preprocessing(image_size=4, flip=True)
    seen = {flipped.train(image, rng).tobytes() for _ in range(50)}
    assert seen == {image.tobytes(), image[:, ::-1].tobytes()}


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
