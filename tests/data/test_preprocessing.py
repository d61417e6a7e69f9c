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


def resized_as_a_whole(image, size):
    """The central square after the whole image is resized."""
    height, width, channels = image.shape
    scale = size / min(height, width)
    sides = (round(width * scale), round(height * scale))
    pixels = image[..., 0] if channels == 1 else image
    resized = Image.fromarray(pixels).resize(sides, Image.Resampling.BILINEAR)
    left, top = (round((side - size) / 2) for side in sides)
    found = np.asarray(resized).reshape(sides[1], sides[0], channels)
    return found[top : top + size, left : left + size]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [8, 33])
@pytest.mark.parametrize("sides", [(7, 28), (11, 13), (40, 21), (100, 25), (61, 61)])
def test_ordinary_images_are_resized_as_a_whole(sides, size, channels):
    image = np.random.default_rng(0).integers(0, 256, (*sides, channels), np.uint8)
    found = data.Preprocessing(image_size=8, resize_to=size).resize(image)
    np.testing.assert_array_equal(found, resized_as_a_whole(image, size))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [8, 33])
@pytest.mark.parametrize(
    "sides", [(7, 29), (101, 25), (1, 40), (2, 999), (703, 37), (3001, 200)]
)
def test_of_thin_images_only_the_central_part_is_resized(sides, size, channels):
    image = np.random.default_rng(0).integers(0, 256, (*sides, channels), np.uint8)
    if channels == 4:
        image[..., 3] = 255
    found = data.Preprocessing(image_size=8, resize_to=size).resize(image)
    expected = resized_as_a_whole(image, size)
    assert found.shape == (size, size, channels)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_very_thin_images_are_not_resized_as_a_whole(monkeypatch):
    sizes = []
    resize = Image.Image.resize

    def recorded(image, size, *arguments):
        sizes.append(size)
        return resize(image, size, *arguments)

    monkeypatch.setattr(Image.Image, "resize", recorded)
    image = np.zeros((60_000, 1, 3), np.uint8)
    image[29_999:30_001] = 255
    preprocessing = data.Preprocessing(image_size=128, resize_to=128)
    for thin in (image, image.swapaxes(0, 1)):
        found = preprocessing.resize(thin)
        assert found.shape == (128, 128, 3) and found.min() == 255
    assert sizes == [(128, 128)] * 2


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
    with pytest.raises(
        InputError, match=r"`data.pad` must be 0 with `data.crop`, got 2"
    ):
        data.Preprocessing(image_size=8, pad=2, crop=True)


def test_windows_reach_every_position_of_a_rectangle():
    image = np.arange(20, dtype=np.uint8).reshape(4, 5, 1)
    preprocessing = data.Preprocessing(image_size=3, crop=True)
    places = np.random.default_rng(0).random((300, 2))
    last = np.full((1, 2), np.nextafter(1, 0))
    windows = [preprocessing.window(image, p) for p in np.concatenate([places, last])]
    assert {window.tobytes() for window in windows} == {
        image[i : i + 3, j : j + 3].tobytes() for i in range(2) for j in range(3)
    }
    np.testing.assert_array_equal(windows[-1], image[1:, 2:])


def test_with_crop_rectangles_are_kept_and_test_images_stay_the_same():
    image = np.random.default_rng(0).integers(0, 256, (41, 60, 3), np.uint8)
    for resize_to, kept in ((0, (41, 60, 3)), (20, (20, 29, 3))):
        square = data.Preprocessing(image_size=16, resize_to=resize_to)
        crop = data.Preprocessing(image_size=16, resize_to=resize_to, crop=True)
        assert crop.resize(image).shape == kept
        np.testing.assert_array_equal(crop.test(image), square.test(image))
