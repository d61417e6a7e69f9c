"""Images as users have them, and back."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError
from colddiff_jax.restoration.user_images import read_images

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (2, 4, 6, 3), np.uint8)


def round_trip(images, channels=3):
    given = read_images(images, channels)
    for image in given.images:
        assert image.dtype == np.float32 and image.shape[2] == channels
        assert np.abs(image).max() <= 1
    return given.give_back(given.images)


def test_uint8_and_floats_one_and_batches_come_back_as_they_were():
    for images in (PIXELS, PIXELS[0]):
        back = round_trip(images)
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, images)
    floats = jnp.asarray(PIXELS, jnp.float32) / 255 * 2 - 1
    for images in (floats, floats[0]):
        back = round_trip(images)
        assert back.dtype == np.float32
        np.testing.assert_array_equal(back, images)


def test_files_pillow_images_and_lists_of_anything_come_back_in_order(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(PIXELS[0]).save(path)
    image = Image.fromarray(PIXELS[1])
    first, second, third = round_trip([path, image, PIXELS])
    np.testing.assert_array_equal(np.asarray(first), PIXELS[0])
    np.testing.assert_array_equal(np.asarray(second), PIXELS[1])
    np.testing.assert_array_equal(third, PIXELS)
    np.testing.assert_array_equal(np.asarray(round_trip(str(path))), PIXELS[0])


def test_a_colour_model_restores_grey_photographs_and_the_reverse():
    grey, colour = Image.fromarray(PIXELS[0, ..., 0]), Image.fromarray(PIXELS[0])
    assert round_trip(grey, channels=3).mode == "L"
    np.testing.assert_array_equal(np.asarray(round_trip(grey)), PIXELS[0, ..., 0])
    given = read_images(colour, 1)
    assert len(given.images) == 3
    np.testing.assert_array_equal(np.asarray(given.give_back(given.images)), PIXELS[0])
    with pytest.raises(InputError, match="of 4 channels, and photographs have 1 or 3"):
        read_images(colour, 4)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS.astype(np.int32), r"uint8 or of floats in \[-1, 1\], got dtype int32"),
        (PIXELS[0, 0], r"shape \[H, W, C\], or \[B, H, W, C\] .* got \(6, 3\)"),
        (PIXELS[:0], r"at least one image, got \(0, 4, 6, 3\)"),
        (PIXELS[..., :1], r"3 channel\(s\) .* got shape \(2, 4, 6, 1\); the model"),
        (np.moveaxis(PIXELS, -1, 1), r"numpy\.moveaxis\(images, -3, -1\)"),
        (np.moveaxis(PIXELS[0], -1, 0), r"numpy\.moveaxis\(images, -3, -1\)"),
        (PIXELS.astype(np.float32), r"finite and lie in \[-1, 1\], got values from"),
        (np.full((4, 6, 3), np.nan), r"finite and lie in \[-1, 1\]"),
        ([], "at least one image, got an empty list"),
        ("nowhere.png", "no file 'nowhere.png'"),
        (None, r"files, Pillow images, or arrays .* got dtype object"),
    ],
)
def test_wrong_images_raise_in_one_line(images, message):
    with pytest.raises(InputError, match=message) as caught:
        read_images(images, 3)
    assert "\n" not in str(caught.value)
