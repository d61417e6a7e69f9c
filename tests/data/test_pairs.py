"""Pairs of clean and degraded images, as files and as arrays."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, data
from colddiff_jax.data import ImageSplits
from tests.data.image_folders import pixels, read, save

SIZES = {"a": (6, 8), "b": (7, 9), "c": (8, 10), "cats/d": (9, 11), "cats/e": (9, 12)}


@pytest.fixture
def roots(tmp_path):
    """PNG files of different sizes, and as many JPEG files of the same names."""
    clean, degraded = tmp_path / "clean", tmp_path / "degraded"
    for seed, (name, size) in enumerate(SIZES.items()):
        save(clean / f"{name}.png", *size, seed)
        save(degraded / f"{name}.jpg", *size, seed + 100)
    return clean, degraded


def pair(roots, **options):
    return data.pair_folder(read(roots[0]), path=str(roots[1]), **options)


def stems(images, root):
    paths = (images.path_of(i) for i in range(len(images)))
    return [os.path.splitext(os.path.relpath(path, root))[0] for path in paths]


def complaint(function, *arguments, **options):
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_partners_have_the_paths_of_the_clean_files_up_to_the_extension(roots, capsys):
    clean, degraded = pair(roots)
    for ours, theirs in ((clean.train, degraded.train), (clean.test, degraded.test)):
        assert stems(ours, roots[0]) == stems(theirs, roots[1])
        for i, name in enumerate(stems(theirs, roots[1])):
            assert ours[i].shape[:2] == theirs[i].shape[:2] == SIZES[name]
            with Image.open(roots[1] / f"{name}.jpg") as image:
                np.testing.assert_array_equal(theirs[i], image)
    assert len(clean.train) + len(clean.test) == len(SIZES)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"{roots[1]}: {len(clean.train)} training pairs and " + (
        f"{len(clean.test)} test pair" + "s" * (len(clean.test) != 1)
    )


def test_the_clean_files_alone_decide_the_splits(roots):
    alone, (clean, _) = read(roots[0]), pair(roots)
    assert stems(clean.test, roots[0]) == stems(alone.test, roots[0])
    assert stems(clean.train, roots[0]) == stems(alone.train, roots[0])


def test_split_folders_hold_partners_and_what_is_beside_them_does_not_count(tmp_path):
    for root in ("clean", "degraded"):
        for name in ("Train/1", "Train/deep/2", "val/1"):
            save(tmp_path / root / f"{name}.png")
        save(tmp_path / root / f"others/{root}.png")
        save(tmp_path / root / f"{root}.png")
    clean, degraded = pair((tmp_path / "clean", tmp_path / "degraded"))
    assert stems(degraded.train, tmp_path / "degraded") == ["Train/1", "Train/deep/2"]
    assert stems(degraded.test, tmp_path / "degraded") == ["val/1"]
    assert stems(clean.test, tmp_path / "clean") == ["val/1"]


@pytest.mark.parametrize("half", [0, 1])
def test_a_pair_with_a_broken_half_is_left_out(roots, half, capsys):
    whole = pair(roots)
    broken = [whole.clean, whole.degraded][half].train.path_of(0)
    with open(broken, "wb") as file:
        file.write(b"no image")
    clean = read(roots[0], max_unreadable=1.0)
    clean, degraded = data.pair_folder(clean, path=str(roots[1]), max_unreadable=1.0)
    assert stems(clean.train, roots[0]) == stems(whole.clean.train, roots[0])[1:]
    assert stems(degraded.train, roots[1]) == stems(clean.train, roots[0])
    assert stems(degraded.test, roots[1]) == stems(whole.clean.test, roots[0])
    out = capsys.readouterr().out
    assert out.endswith("; left out 1 pair of which a half cannot be read\n")
    if half:
        text = complaint(data.pair_folder, read(roots[0]), path=str(roots[1]))
        assert "1 of 5 image files (20.00%) cannot be read, more than `data.max" in text


def test_a_split_without_a_whole_pair_raises(tmp_path):
    for root in ("clean", "degraded"):
        for split in ("train", "test"):
            save(tmp_path / root / split / "1.png")
    (tmp_path / "degraded" / "test" / "1.png").write_bytes(b"")
    clean, path = read(tmp_path / "clean"), str(tmp_path / "degraded")
    text = complaint(data.pair_folder, clean, path=path, max_unreadable=0.5)
    assert text.endswith(
        "no pair in the split 'test' has two readable halves; add some"
    )


def test_labels_stay_with_their_pairs(tmp_path):
    for root in ("clean", "degraded"):
        for split in ("train", "test"):
            for name in ("cats/1", "cats/2", "dogs/1"):
                save(tmp_path / root / split / f"{name}.png")
    (tmp_path / "degraded" / "train" / "cats" / "1.png").write_bytes(b"")
    clean = read(tmp_path / "clean", labels=True)
    path = str(tmp_path / "degraded")
    clean, _ = data.pair_folder(clean, path=path, max_unreadable=1.0)
    np.testing.assert_array_equal(clean.train_labels, [0, 1])
    assert sorted(clean.test_labels) == [0, 0, 1]
    assert clean.class_names == ("cats", "dogs")


def test_files_without_a_partner_are_counted_and_named(roots):
    clean, degraded = roots
    os.rename(degraded / "a.jpg", degraded / "A.jpg")
    for i in range(4):
        save(degraded / f"new{i}.png")
    text = complaint(pair, roots)
    assert f"1 of 5 images in '{clean}' have no partner in '{degraded}' ('a.png')" in (
        text
    )
    assert f"5 of 9 images in '{degraded}' have no partner in '{clean}' " in text
    assert "('A.jpg', 'new0.png', 'new1.png', ...)" in text
    assert "same path below their folders, up to the extension" in text


@pytest.mark.parametrize("half", [0, 1])
def test_two_files_of_one_name_raise(roots, half):
    save(roots[half] / "a.gif")
    text = complaint(pair, roots)
    assert f"{roots[half]}: 'a.gif' and 'a." in text
    assert "rename or remove one of them" in text


def test_partners_of_different_sizes_raise_and_one_is_named_with_both_sizes(roots):
    clean, degraded = roots
    for name in SIZES:
        save(degraded / f"{name}.jpg", 5, 4)
    text = complaint(pair, roots)
    first = text.removeprefix(f"{clean}/").partition(".png")[0]
    height, width = SIZES[first]
    assert text.startswith(
        f"{clean}/{first}.png has {height} x {width} pixels and its partner "
        f"{degraded}/{first}.jpg 5 x 4; both halves of a pair need the same size"
    )


def test_sizes_are_compared_after_orientation_tags(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / "clean" / split / "1.png", 6, 8)
        tags = Image.Exif()
        tags[0x0112] = 6  # Rotated by a quarter.
        path = tmp_path / "degraded" / split / "1.jpg"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels(8, 6)).save(path, exif=tags)
    _, degraded = pair((tmp_path / "clean", tmp_path / "degraded"))
    assert degraded.train[0].shape == (6, 8, 3)


def test_a_folder_that_is_missing_raises(roots):
    text = complaint(data.pair_folder, read(roots[0]), path=str(roots[0] / "none"))
    assert "no folder" in text and "`data.path` must name a folder" in text


def test_paired_files_can_be_sent_to_another_process(roots):
    _, degraded = pair(roots)
    copy = pickle.loads(pickle.dumps(degraded.train))
    assert len(copy) == len(degraded.train)
    np.testing.assert_array_equal(copy[1], degraded.train[1])


def images(n, height=6, width=8):
    return np.zeros((n, height, width, 3), np.uint8)


def test_arrays_are_paired_by_index():
    clean = ImageSplits(images(4), images(2))
    pairs = data.pair_arrays(clean, clean)
    assert pairs.clean is clean and pairs.degraded is clean


@pytest.mark.parametrize(
    ("degraded", "message"),
    [
        (ImageSplits(images(3), images(2)), "are 4 clean training images and 3 degr"),
        (ImageSplits(images(4), images(1)), "are 2 clean test images and 1 degraded"),
        (
            ImageSplits(images(4, 9), images(2)),
            "training images have 6 x 8 pixels and the degraded ones 9 x 8",
        ),
        (ImageSplits(list(images(4)), images(2)), "pairs must be files in two folders"),
    ],
)
def test_arrays_that_do_not_match_raise(degraded, message):
    clean = ImageSplits(images(4), images(2))
    assert message in complaint(data.pair_arrays, clean, degraded)


def test_coarse_digits_are_the_digits_with_blocks_of_equal_pixels():
    fine, coarse = data.digits(labels=True), data.coarse_digits(labels=True)
    np.testing.assert_array_equal(coarse.train_labels, fine.train_labels)
    for ours, theirs in ((fine.train, coarse.train), (fine.test, coarse.test)):
        blocks = np.asarray(ours, np.float64)
        blocks = (
            blocks[:, ::2, ::2]
            + blocks[:, 1::2, ::2]
            + blocks[:, ::2, 1::2]
            + blocks[:, 1::2, 1::2]
        ) / 4
        for i in (0, 1):
            for j in (0, 1):
                assert np.abs(theirs[:, i::2, j::2] - blocks).max() <= 0.5
