"""Folders of odd files: each file is read exactly, or is reported and left out."""

import contextlib
import io
import os
import pathlib
import re
import tempfile

import hypothesis
import numpy as np
import pytest
import tifffile
from hypothesis import strategies as st
from PIL import Image

from colddiff_jax import InputError, data
from colddiff_jax.data.decoding import EXTENSIONS, decode, why_broken
from tests.data.image_folders import pixels


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def odd_contents():
    """The contents of files by description, whole and damaged."""
    rgb = Image.fromarray(pixels(9, 7))
    deep = pixels(5, 6)[..., 0].astype(np.uint16) * 257
    unit = deep / np.float32(65535)
    whole = {
        f"{kind} {mode}": encoded(rgb.convert(mode), kind)
        for kind, modes in {
            "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
            "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "LAB"),
            "JPEG": ("1", "L", "RGB", "CMYK"),
            "GIF": ("P",),
            "BMP": ("RGB",),
            "WEBP": ("RGBA",),
            "PPM": ("1", "L", "RGB"),
        }.items()
        for mode in modes
    }
    whole |= {
        "transparent palette": encoded(rgb.convert("P"), "PNG", transparency=0),
        "transparent grey": encoded(rgb.convert("L"), "PNG", transparency=3),
        "16-bit PNG": encoded(Image.fromarray(deep), "PNG"),
        "16-bit PGM": encoded(Image.fromarray(deep), "PPM"),
        "16-bit TIFF": tiff(deep),
        "white at zero": tiff(deep, photometric="miniswhite"),
        "signed": tiff(deep.view(np.int16)),
        "floats": tiff(unit),
        "floats to 255": tiff(unit * 255),
        "1 x 1": encoded(rgb.resize((1, 1)), "PNG"),
        "thin": encoded(rgb.resize((300, 1)), "PNG"),
        "tall": encoded(rgb.resize((1, 300)), "JPEG"),
    }
    damaged = {
        f"half of {name}": whole[name][: len(whole[name]) // 2]
        for name in ("PNG RGB", "JPEG RGB", "TIFF RGB", "GIF P", "16-bit TIFF")
    }
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    return whole | damaged | {"empty": b"", "text": b"no image\n", "EPS": eps}


CONTENTS = odd_contents()
STEMS = ("a", "b", "ä ö", "猫", "new\nline", ".hidden", "cafe\u0301", "\udcff")
SUFFIXES = (
    *(".png", ".JPG", ".tif", ".Tiff", ".gif", ".webp", ".jpeg"),
    *(".heic", ".avif", ".tga", ""),
)
LAYOUTS = (
    ("", "cats", "birds/deep", ".x"),
    ("cats", "cats/deep", "dogs"),
    ("train", "test", "test/x", "extra", ""),
    ("Train/cats", "VAL/cats", "Train/dogs", "VAL/dogs"),
    ("", "train", "in/train", "in/test"),
)
TARGETS = ("a.png", "b.tif", "cats", "train", "test", "VAL/cats", ".", "nowhere.png")


@st.composite
def folders_of_files(draw):
    """Files and links by their paths; contents do not depend on the extensions."""
    names = st.tuples(
        st.sampled_from(draw(st.sampled_from(LAYOUTS))),
        st.sampled_from(STEMS),
        st.sampled_from(SUFFIXES),
    ).map(lambda parts: os.path.join(parts[0], "".join(parts[1:])))
    contents = st.sampled_from(sorted(CONTENTS))
    files = draw(st.dictionaries(names, contents, min_size=3, max_size=16))
    return files, draw(st.dictionaries(names, st.sampled_from(TARGETS), max_size=3))


def write(root, files, links):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENTS[content])
    for name, target in links.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            path.symlink_to(root / target)


def visible_files(folder, seen=None):
    """Maps the real path of every visible file to the names that lead to it."""
    seen = set() if seen is None else seen
    found = {}
    if (real := os.path.realpath(folder)) not in seen:
        seen.add(real)
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if os.path.isdir(path):
                for file, names in visible_files(path, seen).items():
                    found.setdefault(file, []).extend(names)
            else:
                found.setdefault(os.path.realpath(path), []).append(name)
    return found


def readable(files, channels):
    """The pixels of the files that are images, each read by itself."""
    return [
        decode(file, channels)
        for file, names in files.items()
        if any(os.path.splitext(name)[1].lower() in EXTENSIONS for name in names)
        and not why_broken(file, channels)
    ]


def opened(function, *args, **options):
    """Returns what a function returns, or None after an InputError, and its output."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            result = function(*args, **options)
        except InputError as error:
            assert len(str(error).splitlines()) <= 2
            result = None
    return result, printed.getvalue()


def counted(pattern, printed):
    return sum(int(n.replace(",", "")) for n in re.findall(pattern, printed))


def check_images(images, expected, channels):
    """Checks that images are the expected ones, in any order, and can be resized."""
    key = sorted((x.shape, x.tobytes()) for x in expected)
    assert sorted((x.shape, x.tobytes()) for x in images) == key
    preprocessing = data.Preprocessing(image_size=8, resize_to=9)
    for image in images:
        square = preprocessing.test(image)
        assert square.dtype == np.uint8 and square.shape == (8, 8, channels)


@hypothesis.settings(max_examples=25, derandomize=True, deadline=None)
@hypothesis.given(
    files_and_links=folders_of_files(),
    channels=st.sampled_from([1, 3]),
    max_unreadable=st.sampled_from([1, 0.5]),
    labels=st.booleans(),
)
def test_odd_files_are_read_exactly_or_counted(
    files_and_links, channels, max_unreadable, labels
):
    options = {"channels": channels, "max_unreadable": max_unreadable}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder, "root")
        root.mkdir()
        write(root, *files_and_links)
        found = visible_files(root)
        expected = readable(found, channels)
        images, printed = opened(data.images_in_folder, str(root), **options)
        broken = counted(r"([\d,]+) of [\d,]+ image files? ", printed)
        skipped = counted(r": skipped ([\d,]+) ", printed)
        if images is not None:
            check_images(list(images), expected, channels)
            assert len(images) + broken + skipped == len(found)

        options |= {"labels": labels, "test_fraction": 0.5}
        splits, printed = opened(data.folder, path=str(root), **options)
        if splits is not None:
            both = [*splits.train, *splits.test]
            reported = counted(r"([\d,]+) (?:training|test) image", printed)
            assert reported == len(both)
            folders = re.findall(r" images? in '(\w+)'", printed)
            if folders:
                inside, seen = {}, set()
                for split in folders:
                    for file, names in visible_files(root / split, seen).items():
                        inside.setdefault(file, []).extend(names)
                found, expected = inside, readable(inside, channels)
            check_images(both, expected, channels)
            broken = counted(r"([\d,]+) of [\d,]+ image files? ", printed)
            skipped = counted(r": skipped ([\d,]+) ", printed)
            assert reported + broken + skipped == len(found)


def test_the_kinds_of_file_above_are_read_or_refused_as_documented(tmp_path):
    for i, (name, content) in enumerate(sorted(CONTENTS.items())):
        (tmp_path / f"{i:02}.png").write_bytes(content)
        why = why_broken(str(tmp_path / f"{i:02}.png"), 1)
        refused = {"TIFF I", "TIFF F", "signed", "floats to 255", "empty", "text"}
        assert bool(why) == (name in refused | {"EPS"} or name.startswith("half")), name


def test_files_beside_the_splits_are_counted(tmp_path, capsys):
    for name in ("train/a.png", "test/a.png", "a.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CONTENTS["PNG L"])
    data.folder(path=str(tmp_path))
    expected = "1 test image in 'test'; ignored 2 files beside these subfolders\n"
    assert capsys.readouterr().out.endswith(expected)


def test_awkward_photographs_are_read_and_the_truncated_one_is_listed(
    data_folder, capsys
):
    folder = data_folder / "photos" / "awkward"
    if not folder.is_dir():
        pytest.skip("COLDDIFF_DATA holds no photos/awkward")
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".md")
    images = data.images_in_folder(str(folder), max_unreadable=0.05)
    printed = capsys.readouterr().out
    assert "skipped 1 file: 1 .md" in printed
    assert f"1 of {len(names)} image files" in printed
    assert "'truncated_pillow.jpg': " in printed
    names.remove("truncated_pillow.jpg")
    assert len(images) == len(names)
    found = dict(zip(names, images, strict=True))
    for name, height, width in [
        *(("exif6_colour_recurser.jpg", 1800, 1200), ("tiny5x5_imagers.jpg", 5, 5)),
        *(("exif6_grey_immich.jpg", 700, 840), ("palette_1x1_pngsuite.png", 1, 1)),
        ("panorama_pannellum.jpg", 2048, 4096),
    ]:
        assert found[name].shape == (height, width, 3)
    with Image.open(folder / "grey16_trns_pillow.png") as image:
        clear = np.asarray(image) == image.info["transparency"]
    assert clear.any() and (found["grey16_trns_pillow.png"][clear] == 255).all()
