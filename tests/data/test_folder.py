"""Folders of image files: what is found, how it is split, what is skipped."""

import pathlib
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, data

BROKEN = {
    "cut.jpg": "image file is truncated",
    "cut.png": "image file is truncated",
    "empty.png": "empty file",
    "flipped.png": "broken",
    "text.png": "not an image",
}


def pixels(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, height=6, width=8, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(height, width, seed)).save(path)


def read(root, **options):
    return data.folder(path=str(root), **options)


def complaint(root, **options):
    with pytest.raises(InputError) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
        "cut.jpg": whole["jpg"][:-200],
        "cut.png": whole["png"][:-200],
        "empty.png": b"",
        "flipped.png": bytes(damaged),
        "text.png": b"<html>404 not found</html>",
    }.items():
        (root / name).write_bytes(content)
    return root


def test_images_of_any_size_and_mode_are_read_and_broken_ones_listed(mixed, capsys):
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
    lines = printed.out.splitlines()[1:]
    assert len(lines) == 5
    for line, (name, why) in zip(lines, BROKEN.items(), strict=True):
        assert line.startswith(f"  '{name}': ") and why in line
    assert not printed.err


def test_too_many_broken_files_are_an_error_that_names_them(mixed, capsys):
    said = complaint(mixed, max_unreadable=0.076)
    assert "5 of 65 image files (7.69%) cannot be read" in said
    assert "more than data.max_unreadable = 0.076 allows" in said
    assert "'cut.jpg': image file is truncated" in said and "'text.png'" not in said
    assert "'text.png'" in capsys.readouterr().out
    for i in range(8):
        (mixed / f"more{i}.gif").write_bytes(b"GIF89a")
    read(mixed, max_unreadable=0.2)
    assert capsys.readouterr().out.endswith("\n  and 3 more\n")


def test_a_folder_without_broken_files_prints_nothing(tmp_path, capsys):
    save(tmp_path / "train" / "a.png")
    save(tmp_path / "test" / "a.png")
    read(tmp_path, max_unreadable=0)
    assert capsys.readouterr() == ("", "")


def test_broken_metadata_neither_warns_nor_loses_the_image(tmp_path):
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
    for limit in (60, 30):  # Pillow warns of the first and refuses the second.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert len(read(tmp_path, max_unreadable=0.4).train) == 1
        assert "exceeds limit of" in complaint(tmp_path)


def test_a_document_that_starts_a_program_is_not_opened(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (tmp_path / "a.png").write_bytes(eps)
    assert "'a.png': not an image" in complaint(tmp_path)


def test_only_visible_images_are_found_in_the_order_of_their_paths(tmp_path):
    names = ["b.png", "a/z.png", "a/B.JPEG", "a-b.png", "a/c/d.bmp", "ä.png"]
    for i, name in enumerate(names):
        save(tmp_path / "train" / name, 8 + i, 8)
    for name in (".x.png", ".cache/x.png", "notes/.x/y.png"):
        save(tmp_path / "train" / name)
    (tmp_path / "train" / "readme.txt").write_text("no image")
    save(tmp_path / "beside.png")
    save(tmp_path / "test" / "x.png")
    splits = read(tmp_path)
    assert [image.shape[0] - 8 for image in splits.train] == [3, 2, 4, 1, 0, 5]
    assert len(splits.test) == 1


def test_links_are_followed_but_not_in_circles(tmp_path):
    save(tmp_path / "elsewhere" / "a.png")
    root = tmp_path / "root"
    for split in ("train", "test"):
        save(root / split / "x" / "b.png")
        (root / split / "linked").symlink_to(tmp_path / "elsewhere")
        (root / split / "x" / "up").symlink_to(root / split)
    splits = read(root)
    assert len(splits.train) == len(splits.test) == 2
    (root / "train" / "lost.png").symlink_to("nowhere.png")
    (root / "train" / "round.png").symlink_to("round.png")
    said = complaint(root)
    assert "'train/lost.png': not a file; 'train/round.png': not a file" in said


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_sub_folders_make_the_splits(tmp_path, name):
    save(tmp_path / "train" / "a.png", 7)
    save(tmp_path / name / "a.png", 9)
    splits = read(tmp_path)
    assert splits.train[0].shape == (7, 8, 3) and splits.test[0].shape == (9, 8, 3)
    assert len(splits.train) == len(splits.test) == 1


@pytest.fixture
def flat(tmp_path):
    """Three hundred images whose width is their number."""
    for i in range(1, 301):
        save(tmp_path / f"{i % 7}" / f"{i}.png", 1, i)
    return tmp_path


def widths(images):
    return [image.shape[1] for image in images]


def test_without_sub_folders_a_share_is_for_tests_and_new_files_move_none(flat):
    before = read(flat, test_share=0.2)
    train, test = widths(before.train), widths(before.test)
    assert 40 <= len(test) <= 80 and sorted(train + test) == list(range(1, 301))
    for i in range(301, 320):
        save(flat / "3" / f"{i}.png", 1, i)
    after = read(flat, test_share=0.2)
    assert [i for i in widths(after.train) if i <= 300] == train
    assert [i for i in widths(after.test) if i <= 300] == test
    tested = widths(after.test)
    moved = flat.rename(flat.parent / "moved elsewhere")
    assert widths(read(moved, test_share=0.2).test) == tested
    assert set(widths(read(moved, test_share=0.1).test)) < set(tested)


def test_sub_folders_are_classes_in_the_order_of_their_names(flat):
    splits = read(flat, labels=True, test_share=0.3)
    assert splits.num_classes == 7
    for images, labels in (splits[::2], splits[1::2]):
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, np.array(widths(images)) % 7)
    unlabelled = read(flat)
    assert unlabelled.train_labels is None and unlabelled.num_classes == 0


def test_classes_are_those_below_the_splits_and_skip_broken_files(tmp_path):
    for split in ("train", "val"):
        for i, name in enumerate(("dog/old", "cat/young", "eel")):
            save(tmp_path / split / name / "a.png", 5, 9 - i)
    (tmp_path / "train" / "cat" / "broken.png").write_bytes(b"")
    splits = read(tmp_path, labels=True, max_unreadable=0.2)
    assert widths(splits.train) == [8, 9, 7]
    np.testing.assert_array_equal(splits.train_labels, [0, 1, 2])
    number = dict(zip(widths(splits.test), splits.test_labels, strict=True))
    assert number == {8: 0, 9: 1, 7: 2}  # In another order.


def test_the_first_test_images_are_of_all_classes(tmp_path):
    for split in ("train", "test"):
        for i in range(40):
            save(tmp_path / split / ("cat" if i < 20 else "dog") / f"{i}.png", 5, 5)
    labels = read(tmp_path, labels=True).test_labels
    assert 3 <= labels[:10].sum() <= 7 and labels.sum() == 20


def test_labels_that_the_folders_do_not_give_are_named(tmp_path):
    for name in ("train/cat/a.png", "train/dog/a.png", "test/cat/a.png"):
        save(tmp_path / name)
    said = complaint(tmp_path, labels=True)
    assert "no image of class 'dog' for the split 'test'" in said
    save(tmp_path / "test" / "ant" / "a.png")
    assert "'ant' for the split 'train'" in complaint(tmp_path, labels=True)
    shutil.rmtree(tmp_path / "test" / "ant")
    shutil.rmtree(tmp_path / "train" / "dog")
    assert "only 'cat'" in complaint(tmp_path, labels=True)
    save(tmp_path / "train" / "stray.png")
    assert "'train/stray.png' has no class" in complaint(tmp_path, labels=True)


def test_folders_that_hold_no_data_are_named(tmp_path):
    assert "data.path is empty" in complaint("")
    assert "no folder" in complaint(tmp_path / "nowhere")
    (tmp_path / "a.npz").write_bytes(b"")
    assert "is a file" in complaint(tmp_path / "a.npz")
    assert "no images in this folder" in complaint(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    assert "1 of 1 image files" in complaint(tmp_path)
    assert "no image that can be read" in complaint(tmp_path, max_unreadable=1)
    save(tmp_path / "train" / "a.png")
    (tmp_path / "test").mkdir()
    assert "for the split 'test'" in complaint(tmp_path)


def test_bad_options_are_named(tmp_path):
    assert "data.channels must be 3 or 1" in complaint(tmp_path, channels=4)
    for share in (0, 1, 1.5, "0.1"):
        assert "data.test_share must lie" in complaint(tmp_path, test_share=share)
    for share in (-0.1, 1.5, "all"):
        assert "data.max_unreadable must" in complaint(tmp_path, max_unreadable=share)


def test_a_folder_is_one_set_in_the_order_of_its_paths(mixed, tmp_path, capsys):
    images = data.images_in_folder(str(mixed), channels=1, max_unreadable=0.1)
    splits = read(mixed, channels=1, max_unreadable=0.1)
    assert len(images) == len(splits.train) + len(splits.test) == 60
    assert {image.shape[-1] for image in images} == {1}
    assert "5 of 65 image files" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in this folder"):
        data.images_in_folder(str(tmp_path / "empty"))
    (tmp_path / "empty" / "a.png").write_text("not an image")
    with pytest.raises(InputError, match="no image in this folder can be read"):
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


def test_batches_of_mixed_images_and_a_file_lost_while_training(mixed):
    images = read(mixed, max_unreadable=0.1).train
    preprocessing = data.Preprocessing(image_size=8, resize_to=12, flip=True)
    order = data.batch_indices(len(images), 10, seed=0)
    batches = data.stream_batches(images, None, preprocessing, order)
    assert next(batches).images.shape == (10, 12, 12, 3)
    for path in mixed.glob("part*/*"):
        path.unlink()
    with pytest.raises(InputError, match=r"part./.*cannot be read any more \(No such"):
        for _ in range(20):
            next(batches)


def test_real_photographs_are_those_of_their_npz(data_folder: pathlib.Path):
    cats = data_folder / "afhq_cat"
    if not cats.is_dir():
        pytest.skip("COLDDIFF_DATA holds no afhq_cat")
    splits = read(cats, max_unreadable=0)
    expected = data.npz(path=str(data_folder / "afhq_cat.npz"))
    assert [len(found) for found in splits[:2]] == [len(x) for x in expected[:2]]
    for i in range(0, len(splits.train), 97):
        np.testing.assert_array_equal(splits.train[i], expected.train[i])
    found, known = ({image.tobytes() for image in s.test} for s in (splits, expected))
    assert found == known  # In another order.
