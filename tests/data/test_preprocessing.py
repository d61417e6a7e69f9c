"""Resizing, cropping and flipping images."""

import jax
import numpy as np
import pytest
import skimage.transform
from PIL import Image

from colddiff_jax import InputError, data


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)


def test_resizing_and_center_crop_match_torchvision(images):
    preprocessing = data.Preprocessing(image_size=32, resize_to=35)
    resized = Image.fromarray(images[0, ..., 0]).resize(
        (35, 35), Image.Resampling.BILINEAR
    )
    # CenterCrop starts at round(3 / 2) = 2.
    expected = np.asarray(resized)[2:34, 2:34, None]
    np.testing.assert_array_equal(preprocessing.test(images[0]), expected)


def test_downscaling_is_antialiased():
    image = np.asarray(Image.linear_gradient("L").resize((64, 64)))[..., None]
    found = data.Preprocessing(image_size=16, resize_to=16).test(image)
    expected = skimage.transform.resize(image, (16, 16, 1), order=1, anti_aliasing=True)
    np.testing.assert_allclose(found / 255, expected, atol=0.03)


def test_the_shorter_side_is_resized_without_distortion():
    image = np.zeros((40, 20, 3), np.uint8)
    image[:20] = 255
    crop = data.Preprocessing(image_size=10, resize_to=10).test(image)
    assert crop.shape == (10, 10, 3)
    assert crop[0].mean() == 255 and crop[-1].mean() == 0


def augmented(preprocessing, image, count):
    keys = jax.random.split(jax.random.key(0), count)
    augment = jax.jit(preprocessing.augment)
    return np.asarray(augment(keys, np.repeat(image[None], count, axis=0)))


def test_random_crops_reach_every_position_and_flips_mirror():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    plain = data.Preprocessing(image_size=3, pad=1)
    crops = {crop.tobytes() for crop in augmented(plain, image, 300)}
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    assert crops == {
        padded[i : i + 3, j : j + 3].tobytes() for i in range(4) for j in range(4)
    }
    flipped = data.Preprocessing(image_size=4, flip=True)
    seen = {x.tobytes() for x in augmented(flipped, image, 50)}
    assert seen == {image.tobytes(), image[:, ::-1].tobytes()}


def test_the_published_augmentation_crops_32_from_35_and_flips(images):
    published = data.Preprocessing(image_size=32, resize_to=int(1.12 * 32), flip=True)
    resized = published.resize(images[0])
    assert resized.shape == (35, 35, 1)
    crops = {
        resized[i : i + 32, j : j + 32][:, ::step].tobytes()
        for i in range(4)
        for j in range(4)
        for step in (1, -1)
    }
    assert {x.tobytes() for x in augmented(published, resized, 400)} == crops


def test_augmentation_depends_on_the_key_but_not_on_the_batch(images):
    preprocessing = data.Preprocessing(image_size=20, flip=True)
    keys = jax.random.split(jax.random.key(3), 20)
    whole = jax.jit(preprocessing.augment)(keys, images)
    some = jax.jit(preprocessing.augment)(jax.random.clone(keys)[5:9], images[5:9])
    np.testing.assert_array_equal(whole[5:9], some)


def test_invalid_sizes_raise(images):
    with pytest.raises(
        InputError, match=r"`data.resize_to` must be 0 or at least .* 32, got 30"
    ):
        data.Preprocessing(image_size=32, resize_to=30)
    with pytest.raises(
        InputError, match=r"28 x 28 pixels are smaller than `data.image_size`"
    ):
        data.Preprocessing(image_size=32).test(images[0])
    with pytest.raises(InputError, match=r"1, 3 or 4 channels can be resized, got 2"):
        data.Preprocessing(image_size=32, resize_to=32).test(
            np.zeros((9, 9, 2), np.uint8)
        )
    for value in (0, 1.5, True, "32"):
        with pytest.raises(InputError, match=r"`data.image_size` must be a positive"):
            data.Preprocessing(image_size=value)
    with pytest.raises(
        InputError, match=r"`data.pad` must be an integer of at least 0"
    ):
        data.Preprocessing(image_size=8, pad=-1)
