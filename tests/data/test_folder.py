"""Folders of image files: finding and reading files, and skipping broken ones."""

import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, data
from tests.data.image_folders import complaint, pixels, read, save

BROKEN = {
    "cut_off.jpg": "image file is truncated",
    "cut_off.png": "image file is truncated",
    "empty.png": "empty file",
    "flipped.png": "broken",
    "text.png": "not an image",
}


@pytest.fixture
def mixed(tmp_path):
    """Sixty images of several sizes and modes, and five broken files, in one folder."""
    root = tmp_path / "mixed"
    modes = ["RGB", "L", "LA", "RGBA", "P", "CMYK", "1", "I;16"]
    endings = {"CMYK": "tif", "P": "gif", "1": "pbm", "RGB": "webp"}
    for i in range(60):
        mode = modes[i % len(modes)]
        path = root / f"part{i % 3}" / f"{i:02}.{endings.get(mode, 'png')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels(16 + i, 70 - i, seed=i))
        if mode == "I;16":
            grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
            Image.fromarray(grey).save(path)
        else:
            image.convert(mode).save(path)
    whole = {}
    for kind in ("jpg", "png"):
        save(tmp_path / f"whole.{kind}", 40, 40)
        whole[kind] = (tmp_path / f"whole.{kind}").read_bytes()
    damaged = bytearray(whole["png"])
    damaged[len(damaged) // 2] ^= 0xFF
    for name, content in {
        "cut_off.jpg": whole["jpg"][:-200],
        "cut_off.png": whole["png"][:-200],
        "empty.png": b"",
        "flipped.png": bytes(damaged),
        "text.png": b"<html>404 not found</html>",
    }.items():
        (root / name).write_bytes(content)
    return root


def test_images_of_any_size_and_mode_are_read_and_broken_files_listed(mixed, capsys):
    splits = read(mixed, max_unreadable=0.1)
    assert len(splits.train) + len(splits.test) == 60
    sizes = set()
    for images in splits[:2]:
        for image in images:
            assert image.dtype == np.uint8 and image.shape[2] == 3
            sizes.add(image.shape[:2])
    assert sizes == {(16 + i, 70 - i) for i in range(60)}
    printed = capsys.readouterr()
    assert "5 of 65 image files (7.69%) cannot be read" in printed.out
    lines = printed.out.splitlines()[1:6]
    for line, (name, why) in zip(lines, BROKEN.items(), strict=True):
        assert line.startswith(f"  '{name}': ") and why in line
    assert not printed.err


def test_too_many_broken_files_raise_an_error_that_names_them(mixed, capsys):
    message = complaint(mixed, max_unreadable=0.076)
    assert "5 of 65 image files (7.69%) cannot be read" in message
    assert "more than `data.max_unreadable` = 0.076 allows" in message
    assert "'cut_off.jpg': image file is truncated" in message
    assert "'text.png'" not in message
    assert "'text.png'" in capsys.readouterr().out
    for i in range(8):
        (mixed / f"more{i}.gif").write_bytes(b"GIF89a")
    read(mixed, max_unreadable=0.2)
    assert "\n  and 3 more\n" in capsys.readouterr().out


def test_a_folder_without_broken_or_skipped_files_prints_its_splits(tmp_path, capsys):
    save(tmp_path / "train" / "a.png")
    save(tmp_path / "test" / "a.png")
    (tmp_path / "test" / ".hidden").touch()
    read(tmp_path, max_unreadable=0)
    printed = f"{tmp_path}: 1 training image in 'train', 1 test image in 'test'\n"
    assert capsys.readouterr() == (printed, "")


def test_files_without_the_extension_of_an_image_are_counted(tmp_path, capsys):
    names = [f"{i}.HEIC" for i in range(10)] + ["LICENSE", "a/b", ".DS_Store"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    assert "no images in this folder" in complaint(tmp_path / "in")
    expected = "skipped 12 files: 10 .heic, 2 without extension\n"
    assert capsys.readouterr().out == f"{tmp_path / 'in'}: {expected}"
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "link").symlink_to("a.png")  # The image itself is found.
    (tmp_path / "in" / "again.heic").symlink_to("0.HEIC")
    data.images_in_folder(str(tmp_path / "in"))
    assert capsys.readouterr().out == f"{tmp_path / 'in'}: {expected}"


def test_only_the_main_process_prints(mixed, capsys, monkeypatch):
    (mixed / "notes.txt").touch()
    monkeypatch.setattr(data.folder_report.devices, "is_main_process", lambda: False)
    read(mixed, max_unreadable=0.1)
    assert capsys.readouterr() == ("", "")


def test_images_with_broken_metadata_are_read_without_warnings(tmp_path):
    image = Image.fromarray(pixels(16, 16))
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for i, exif in enumerate([b"no EXIF at all", b"MM\0*\0\0\0\x08\0\x09\x01"]):
            image.save(tmp_path / split / f"{i}.jpg", exif=b"Exif\0\0" + exif)
    splits = read(tmp_path, max_unreadable=0)
    assert [x.shape for x in splits.train] == [(16, 16, 3)] * 2


def test_a_decompression_bomb_is_broken_and_does_not_warn(tmp_path, monkeypatch):
    for split in ("train", "test"):
        save(tmp_path / split / "small.png", 5, 5)
    save(tmp_path / "train" / "bomb.png", 9, 9)
    for limit in (60, 30):  # Pillow warns at the first and raises at the second.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert len(read(tmp_path, max_unreadable=0.4).train) == 1
        assert "exceeds limit of" in complaint(tmp_path)


def test_formats_that_run_external_programs_are_not_opened(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (tmp_path / "a.png").write_bytes(eps)
    assert "'a.png': not an image" in complaint(tmp_path)


def test_visible_images_are_found_in_path_order(tmp_path):
    names = ["b.png", "a/z.png", "a/B.JPEG", "a-b.png", "a/c/d.bmp", "ä.png"]
    for i, name in enumerate(names):
        save(tmp_path / "train" / name, 8 + i, 8)
    for name in (".x.png", ".cache/x.png", "notes/.x/y.png"):
        save(tmp_path / "train" / name)
    (tmp_path / "train" / "readme.txt").write_text("not an image")
    save(tmp_path / "outside.png")
    save(tmp_path / "test" / "x.png")
    splits = read(tmp_path)
    assert [image.shape[0] - 8 for image in splits.train] == [3, 2, 4, 1, 0, 5]
    assert len(splits.test) == 1


def test_links_are_followed_but_cycles_are_not(tmp_path):
    root = tmp_path / "root"
    for split in ("train", "test"):
        save(tmp_path / "elsewhere" / split / "a.png")
        save(root / split / "x" / "b.png")
        (root / split / "linked").symlink_to(tmp_path / "elsewhere" / split)
        (root / split / "x" / "up").symlink_to(root / split)
    splits = read(root)
    assert len(splits.train) == len(splits.test) == 2
    (root / "train" / "lost.png").symlink_to("nowhere.png")
    (root / "train" / "round.png").symlink_to("round.png")
    message = complaint(root)
    assert "'train/lost.png': not a file; 'train/round.png': not a file" in message


def test_folders_without_data_raise(tmp_path):
    assert "`data.path` is empty; it must name a folder" in complaint("")
    assert "no folder" in complaint(tmp_path / "nowhere")
    (tmp_path / "a.npz").write_bytes(b"")
    assert "is a file" in complaint(tmp_path / "a.npz")
    assert "no images in this folder" in complaint(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    assert "1 of 1 image files" in complaint(tmp_path)
    assert "no readable image in the split 'train'" in complaint(
        tmp_path, max_unreadable=1
    )
    save(tmp_path / "train" / "a.png")
    (tmp_path / "test").mkdir()
    assert "no readable image in the split 'test'" in complaint(tmp_path)


def test_invalid_options_raise(tmp_path):
    assert "`data.channels` must be 3 (RGB) or 1 (grey)" in complaint(
        tmp_path, channels=4
    )
    for value in (0, 1, 1.5, "0.1"):
        message = complaint(tmp_path, test_fraction=value)
        assert "`data.test_fraction` must lie strictly between 0 and 1" in message
    for value in (-0.1, 1.5, "all"):
        message = complaint(tmp_path, max_unreadable=value)
        assert "`data.max_unreadable` must be a fraction in 0..1" in message


def test_images_in_folder_returns_all_images(mixed, tmp_path, capsys):
    images = data.images_in_folder(str(mixed), channels=1, max_unreadable=0.1)
    splits = read(mixed, channels=1, max_unreadable=0.1)
    assert len(images) == len(splits.train) + len(splits.test) == 60
    assert {image.shape[-1] for image in images} == {1}
    assert "5 of 65 image files" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in this folder"):
        data.images_in_folder(str(tmp_path / "empty"))
    (tmp_path / "empty" / "a.png").write_text("not an image")
    with pytest.raises(
        InputError, match="none of the images in this folder can be read"
    ):
        data.images_in_folder(str(tmp_path / "empty"), max_unreadable=1)


def test_images_can_be_pickled(mixed):
    images = read(mixed, max_unreadable=0.1).train
    copy = pickle.loads(pickle.dumps(images))
    assert len(copy) == len(images)
    for i in (0, len(images) - 1):
        np.testing.assert_array_equal(copy[i], images[i])
    for i in (-1, len(images)):
        with pytest.raises(IndexError):
            images[i]


def test_mixed_images_are_batched_and_a_lost_file_is_named(mixed):
    images = read(mixed, max_unreadable=0.1).train
    preprocessing = data.Preprocessing(image_size=8, resize_to=12, flip=True)
    order = data.batch_indices(len(images), 10, seed=0)
    batches = data.stream_batches(images, None, preprocessing, order)
    assert next(batches).images.shape == (10, 12, 12, 3)
    for path in mixed.glob("part*/*"):
        path.unlink()
    with pytest.raises(InputError, match=r"part./.*can no longer be read \(No such"):
        for _ in range(20):
            next(batches)


def test_real_photographs_match_their_npz(data_folder: pathlib.Path):
    cats = data_folder / "afhq_cat"
    if not cats.is_dir():
        pytest.skip("COLDDIFF_DATA holds no afhq_cat")
    splits = read(cats, max_unreadable=0)
    expected = data.npz(path=str(data_folder / "afhq_cat.npz"))
    assert [len(found) for found in splits[:2]] == [len(x) for x in expected[:2]]
    for i in range(0, len(splits.train), 97):
        np.testing.assert_array_equal(splits.train[i], expected.train[i])
    found, known = ({image.tobytes() for image in s.test} for s in (splits, expected))
    assert found == known  # Shuffled.
