"""The gallery and the documentation show every degradation."""

import inspect
import re

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, degradations
from colddiff_jax.cli import gallery


@pytest.fixture(scope="module")
def factories():
    public = {name: getattr(degradations, name) for name in degradations.__all__}
    functions = {name for name, value in public.items() if inspect.isfunction(value)}
    return functions - {"spiral_ranks"}


def test_every_degradation_is_drawn(factories):
    assert {name.split(" ")[0] for name in gallery.EXAMPLES} == factories


def test_every_degradation_has_a_section_and_a_picture(factories, pytestconfig):
    docs = pytestconfig.rootpath / "docs"
    sections = (docs / "degradations.md").read_text().split("\n## ")[1:]
    titles = [section.split()[0] for section in sections]
    assert set(titles) == factories | {"What"}
    assert len(titles) == len(factories) + 2
    for section in sections:
        pictures = re.findall(r"!\[.+\]\((.+)\)", section)
        assert pictures or section.startswith("What ")
        assert all((docs / picture).is_file() for picture in pictures)


def test_rows_go_from_the_clean_image_to_the_most_degraded():
    x = gallery.load_photograph("", 32)
    rows = gallery.draw_rows(x)
    assert rows.keys() == gallery.EXAMPLES.keys()
    for name, images in rows.items():
        assert images.shape == (5, 32, 32, 3) and np.isfinite(images).all()
        np.testing.assert_array_equal(images[0], x[0])
        distances = [np.linalg.norm(image - x[0]) for image in images]
        assert (np.diff(distances) > 0).all(), name


def test_a_photograph_of_any_shape_and_mode_is_cropped_to_its_centre(tmp_path):
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:, 20:60] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    x = gallery.load_photograph(str(tmp_path / "wide.png"), 32)
    np.testing.assert_array_equal(x, 1)


def test_a_photograph_is_read_like_the_files_of_a_folder(tmp_path):
    deep = np.full((40, 40), 25700, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    clear = np.zeros((40, 40, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    for name, value in (("deep.png", 100), ("clear.png", 255)):
        x = gallery.load_photograph(str(tmp_path / name), 32)
        np.testing.assert_array_equal(np.round((np.asarray(x) + 1) * 127.5), value)


def test_a_file_that_is_no_photograph_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (tmp_path / "a.eps").write_bytes(eps)
    for name, why in (
        ("text.png", "not an image"),
        ("a.eps", "not an image"),
        ("missing.png", "not a file"),
    ):
        message = rf"`image` .*{name}' cannot be read as an image: {why}"
        with pytest.raises(InputError, match=message):
            gallery.load_photograph(str(tmp_path / name), 32)
