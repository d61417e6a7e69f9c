"""Decoding image files of every mode and format, and detecting broken ones."""

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.data.decoding import decode, why_broken


def pixels(height, width):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded(tmp_path, image, name, channels=3, **options):
    """Writes an image and reads it back."""
    path = tmp_path / name
    image.save(path, **options)
    assert not why_broken(str(path), channels)
    found = decode(str(path), channels)
    assert found.dtype == np.uint8 and found.shape[2] == channels
    return found


def test_rgb_and_grey_are_decoded_exactly(tmp_path):
    x = pixels(5, 7)
    np.testing.assert_array_equal(decoded(tmp_path, Image.fromarray(x), "a.PNG"), x)
    grey = decoded(tmp_path, Image.fromarray(x[..., 0]), "a.bmp", channels=1)
    np.testing.assert_array_equal(grey, x[..., :1])
    triple = decoded(tmp_path, Image.fromarray(x[..., 0]), "a.pgm")
    np.testing.assert_array_equal(triple, np.repeat(x[..., :1], 3, -1))


def test_transparent_pixels_become_white(tmp_path):
    x = pixels(4, 4)
    clear = np.zeros((4, 4), np.uint8)
    clear[:2] = 255
    expected = np.where(clear[..., None] > 0, x, 255)
    rgba = Image.fromarray(np.dstack([x, clear]))
    np.testing.assert_array_equal(decoded(tmp_path, rgba, "a.png"), expected)
    la = Image.merge("LA", [Image.fromarray(x[..., 0]), Image.fromarray(clear)])
    found = decoded(tmp_path, la, "a.png", channels=1)
    np.testing.assert_array_equal(found, expected[..., :1])
    half = Image.fromarray(np.full((1, 1, 4), (0, 100, 200, 51), np.uint8))
    found = decoded(tmp_path, half, "a.webp", lossless=True, exact=True)
    np.testing.assert_array_equal(found[0, 0], [204, 224, 244])


def test_transparent_palette_entries_become_white(tmp_path):
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expected = [[[255, 255, 255], [40, 50, 60], [70, 80, 90]]]
    for name, transparency in [("a.png", b"\0\xff\xff"), ("a.gif", 0), ("b.png", 0)]:
        found = decoded(tmp_path, palette, name, transparency=transparency)
        np.testing.assert_array_equal(found, expected)
    grey = Image.fromarray(np.array([[7, 8]], np.uint8))
    found = decoded(tmp_path, grey, "a.png", transparency=7)
    np.testing.assert_array_equal(found[..., 0], [[255, 8]])


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_to_8_bits(tmp_path, name):
    grey = np.array([[0, 128, 129, 257, 65535], [25700, 65534, 32896, 1, 2]], np.uint16)
    found = decoded(tmp_path, Image.fromarray(grey), name, channels=1)
    np.testing.assert_array_equal(found[..., 0], np.round(grey / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_images_are_turned_upright(tmp_path, orientation, name):
    corners = np.zeros((16, 32, 3), np.uint8)  # Multiples of JPEG blocks.
    corners[:8, :16], corners[:8, 16:], corners[8:, :16] = 60, 120, 180
    image = Image.fromarray(corners)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decoded(tmp_path, image, name, channels=1, exif=exif)
    expected = {
        1: corners,
        2: corners[:, ::-1],
        3: corners[::-1, ::-1],
        4: corners[::-1],
        5: corners.swapaxes(0, 1),
        6: corners.swapaxes(0, 1)[:, ::-1],
        7: corners.swapaxes(0, 1)[::-1, ::-1],
        8: corners.swapaxes(0, 1)[::-1],
    }[orientation]
    np.testing.assert_allclose(found.astype(int), expected[..., :1], atol=2)


def test_the_first_frame_of_an_animation_is_decoded(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        options = {} if name == "a.gif" else {"lossless": True}
        found = decoded(
            tmp_path, frames[0], name, save_all=True, append_images=[frames[1]],
            **options,
        )  # fmt: skip
        np.testing.assert_array_equal(found[0, 0], [255, 0, 0])


def test_cmyk_is_converted_to_rgb(tmp_path):
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for name in ("a.jpg", "a.tif"):
        red, green, blue = decoded(tmp_path, ink, name)[4, 4]
        assert red > 250 and green < 5 and blue < 5


@pytest.fixture(scope="module")
def gradient():
    rows, columns = np.mgrid[:32, :32]
    return np.stack([rows * 8, columns * 8, rows + columns], -1).astype(np.uint8)


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tif", "a.webp", "a.ppm"]
)
def test_a_truncated_file_is_broken(tmp_path, gradient, name):
    whole = tmp_path / name
    Image.fromarray(gradient).save(whole)
    content, path = whole.read_bytes(), tmp_path / "truncated.png"
    for length in range(0, len(content) - 8, max(1, len(content) // 40)):
        path.write_bytes(content[:length])
        assert why_broken(str(path), 3)


def test_a_damaged_png_is_broken_or_decodes_to_the_same_pixels(tmp_path, gradient):
    path = tmp_path / "a.png"
    Image.fromarray(gradient).save(path)
    content = path.read_bytes()
    num_broken = 0
    for i in range(len(content)):
        path.write_bytes(content[:i] + bytes([content[i] ^ 0x55]) + content[i + 1 :])
        if why_broken(str(path), 3):
            num_broken += 1
        else:
            np.testing.assert_array_equal(decode(str(path), 3), gradient)
    assert num_broken > len(content) * 0.9


def test_only_two_modules_open_image_files(pytestconfig):
    root = pytestconfig.rootpath
    sources = [*root.glob("*.py"), *(root / "colddiff_jax").rglob("*.py")]
    opening = [path.name for path in sources if "Image.open" in path.read_text()]
    # The second keeps what the first drops, by the same rules.
    assert sorted(opening) == ["decoding.py", "photos.py"]


def test_reasons_are_short_and_omit_the_path(tmp_path):
    path = tmp_path / "a.png"
    assert why_broken(str(path), 3) == "not a file"
    path.write_bytes(b"")
    assert why_broken(str(path), 3) == "empty file"
    path.write_bytes(b"text")
    assert why_broken(str(path), 3).startswith("not an image, or of a kind")
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "a.png" not in why_broken(str(path), 3)
