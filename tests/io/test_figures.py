"""Grids, strips and animations."""

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.io import figures


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_enlarged_images_next_to_their_label(channels):
    rng = np.random.default_rng(0)
    rows = {
        name: rng.uniform(-1.2, 1.2, (3, 16, 16, channels))
        for name in ("clean", "alg2")
    }
    picture = figures.grid(rows)
    assert picture.dtype == np.uint8 and picture.shape[0] == 2 * (4 * 16 + 2)
    left = picture.shape[1] - 3 * (4 * 16 + 2)
    assert left > 30 and (picture[:60, :left] == 0).any()  # The label is black.
    first = picture[:64:4, left : left + 64 : 4]
    expected = np.round((np.clip(rows["clean"][0], -1, 1) + 1) / 2 * 255)
    np.testing.assert_array_equal(first, np.broadcast_to(expected, (16, 16, 3)))


def test_a_grid_shows_the_first_three_channels_or_the_first_of_two():
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (3, 16, 16, 7))
    for channels, shown in ((7, 3), (4, 3), (2, 1)):
        picture = figures.grid({"x": pixels[..., :channels]})
        expected = figures.grid({"x": pixels[..., :shown]})
        np.testing.assert_array_equal(picture, expected)


def test_png_and_gif_files_are_written_without_leftovers(tmp_path):
    frames = [np.full((8, 9, 3), value, np.uint8) for value in (0, 128, 255)]
    figures.save_png(str(tmp_path / "a.png"), frames[1])
    figures.save_gif(str(tmp_path / "a.gif"), frames)
    with Image.open(tmp_path / "a.png") as png:
        np.testing.assert_array_equal(np.asarray(png), frames[1])
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.png"]


def test_a_mosaic_has_about_as_many_columns_as_rows():
    images = np.linspace(-1, 1, 7 * 4 * 6).reshape(7, 4, 6, 1).astype(np.float32)
    picture = figures.mosaic(images)
    assert picture.shape == (3 * 42 - 2, 3 * 62 - 2, 3)  # Enlarged ten times.
    np.testing.assert_array_equal(
        picture[42:82:10, 62:122:10, 0], figures.strip(images[4:5])[..., 0]
    )
    assert (picture[84:, 62:] == 255).all()
    assert figures.mosaic(images, columns=7).shape == (40, 7 * 62 - 2, 3)


def test_a_caption_is_a_line_above_the_picture():
    picture = np.full((5, 40, 3), 7, np.uint8)
    found = figures.captioned(picture, "t = 3")
    assert found.shape == (25, 40, 3)
    np.testing.assert_array_equal(found[20:], picture)
    assert found[:20].min() < 100 and found[:20].max() == 255
