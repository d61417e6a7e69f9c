"""Photographs of a user: modes, depth, opacity, orientation, profiles."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError
from colddiff_jax.data.photos import open_photo, photo


def picture(mode, size=(6, 4)):
    rng = np.random.default_rng(0)
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], channels)[: 3 if channels > 1 else 2]
    return Image.fromarray(rng.integers(0, 256, shape, np.uint8), mode)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_eight_bit_modes_come_back_bit_for_bit(mode, tmp_path):
    image = picture(mode)
    image.save(tmp_path / "photo.png")
    opened = open_photo(tmp_path / "photo.png")
    same = opened.with_pixels(opened.pixels)
    assert same.mode == mode
    np.testing.assert_array_equal(np.asarray(same), np.asarray(image))


def test_grey_of_16_bits_keeps_them(tmp_path):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(values).save(tmp_path / "deep.png")
    opened = open_photo(tmp_path / "deep.png")
    assert opened.deep and opened.pixels.shape == (8, 8, 1)
    same = opened.with_pixels(opened.pixels)
    assert same.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(same), values)


def test_a_photograph_is_turned_upright_with_its_opacity(tmp_path):
    image = Image.new("RGBA", (5, 3), "white")
    image.putpixel((0, 0), (255, 0, 0, 7))
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned left: to be rotated clockwise.
    image.save(tmp_path / "turned.png", exif=exif)
    opened = open_photo(tmp_path / "turned.png")
    assert opened.pixels.shape == (5, 3, 3)
    upright = opened.with_pixels(opened.pixels)
    assert upright.getpixel((2, 0)) == (255, 0, 0, 7)
    assert not upright.getexif()


def test_palettes_bits_and_cmyk_become_plain_modes():
    assert photo(picture("RGB").convert("P")).with_pixels(np.zeros((4, 6, 3))).mode == (
        "RGB"
    )
    assert photo(picture("L").convert("1")).pixels.shape == (4, 6, 1)
    cmyk = photo(Image.new("CMYK", (6, 4), (0, 0, 0, 0)))
    assert cmyk.pixels.shape == (4, 6, 3) and (cmyk.pixels == 1).all()


def test_profiles_are_kept_except_of_other_colour_spaces(tmp_path):
    for mode, kept in (("RGB", b"profile"), ("CMYK", None)):
        Image.new(mode, (8, 8)).save(tmp_path / "p.jpg", icc_profile=b"profile")
        opened = open_photo(tmp_path / "p.jpg")
        assert opened.icc_profile == kept
        again = opened.with_pixels(opened.pixels)
        assert again.info.get("icc_profile") == kept


def test_missing_and_broken_files_raise_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"no file .*none\.png'; name an image"):
        open_photo(tmp_path / "none.png")
    path = tmp_path / "broken.jpg"
    Image.new("RGB", (64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(
        InputError, match=r"broken\.jpg' cannot be read \(.*[Tt]runcated"
    ):
        open_photo(path)


def test_awkward_photographs_open_or_say_why():
    folder = pathlib.Path(os.environ.get("COLDDIFF_DATA", ""), "photos", "awkward")
    if not folder.is_dir():
        pytest.skip("no awkward photographs")
    broken = []
    for path in sorted(folder.glob("*.[jp][pn]g")):
        try:
            opened = open_photo(path)
        except InputError:
            broken.append(path.name)
            continue
        height, width, channels = opened.pixels.shape
        same = opened.with_pixels(opened.pixels)
        assert same.size == (width, height) and channels in (1, 3)
        assert np.abs(opened.pixels).max() <= 1
    assert [name for name in broken if "truncated" not in name] == []
    assert len(broken) == 1
