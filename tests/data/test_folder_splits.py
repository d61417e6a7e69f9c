"""Folders of image files: splits and classes."""

import os
import re
import shutil

import numpy as np
import pytest

from colddiff_jax import data
from tests.data.image_folders import complaint, read, save, widths


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *(("train", "test"), ("train", "val"), ("train", "validation")),
        *(("train", "valid"), ("train", "dev"), ("train", "eval")),
        *(("Train", "Test"), ("TRAIN", "evaluation"), ("training", "testing")),
    ],
)
def test_subfolders_are_the_splits(tmp_path, capsys, train, test):
    save(tmp_path / train / "a.png", 7)
    for name in "ab":
        save(tmp_path / test / f"{name}.png", 9)
        save(tmp_path / "other" / f"{name}.png", 5)
    splits = read(tmp_path)
    assert splits.train[0].shape == (7, 8, 3)
    assert [image.shape for image in splits.test] == [(9, 8, 3)] * 2
    assert len(splits.train) == 1
    printed = f"1 training image in {train!r}, 2 test images in {test!r}; ignored"
    assert capsys.readouterr().out == f"{tmp_path}: {printed} subfolders: other\n"


def test_test_folders_are_preferred_to_validation_folders(tmp_path):
    names = ["evaluation", "eval", "dev", "validation", "valid", "val", "testing"]
    save(tmp_path / "train" / "a.png")
    for i, name in enumerate([*names, "Test"], start=1):
        save(tmp_path / name / "a.png", 1, i)
        assert widths(read(tmp_path).test) == [i]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "cats"], "'train' is named like a split, but .* subfolder 'test'"),
        (["Training"], "set `data.path` to '.*/Training' to split these images by"),
        (["dev", "cats"], "'dev' is named like a split, but .* subfolder 'train'"),
        (["train2017", "val2017"], "'train2017' and 'val2017' look like splits"),
        (["testA", "trainA", "trainB"], "'trainA' and 'testA' look like splits"),
        (["trainset", "TestSet"], "'trainset' and 'TestSet' look like splits"),
        (["X_train_HR", "X_valid_HR"], "'X_train_HR' and 'X_valid_HR' look like"),
        (["train", "test_images"], "'train' and 'test_images' look like splits"),
        (["train", "training", "test"], "'train' and 'training' are named after"),
        (["train", "Test", "test"], "'Test' and 'test' are named after the same"),
        (["in/train", "in/val"], "'train' and 'val' are in the subfolder 'in'; set"),
        (["x/in/dev/a", "x/in/Train"], "'Train' and 'dev' are in the .* 'x/in'; set"),
    ],
)
def test_folders_that_look_like_splits_but_are_unclear_raise(
    tmp_path, folders, message
):
    for i, folder in enumerate(folders):
        save(tmp_path / folder / "a.png", seed=i)
    assert re.search(message, complaint(tmp_path))
    assert len(data.images_in_folder(str(tmp_path))) == len(folders)


@pytest.mark.parametrize("test_fraction", [0.001, 0.999])
def test_each_split_of_few_files_has_one_at_least(tmp_path, capsys, test_fraction):
    names = [f"{i}.png" for i in range(3)]
    for i, name in enumerate(names):
        save(tmp_path / name, width=8 + i)
    splits = read(tmp_path, test_fraction=test_fraction)
    sizes = (len(splits.train), len(splits.test))
    assert sizes == ((2, 1) if test_fraction < 0.5 else (1, 2))
    assert sorted([*widths(splits.train), *widths(splits.test)]) == [8, 9, 10]
    assert f"{sizes[0]} training image" in capsys.readouterr().out


def test_class_names_that_merely_contain_the_name_of_a_split_are_classes(tmp_path):
    for name in ("trains", "testament", "contest", "valley", "train_station"):
        for i in range(20):
            save(tmp_path / name / f"{i}.png")
    splits = read(tmp_path, labels=True, test_fraction=0.3)
    assert splits.num_classes == 5 and 10 <= len(splits.test) <= 50


@pytest.fixture
def flat(tmp_path):
    """Three hundred images whose file names are their widths."""
    for i in range(1, 301):
        save(tmp_path / f"{i % 7}" / f"{i}.png", 1, i)
    return tmp_path


def test_without_split_folders_a_fraction_is_held_out_and_new_files_move_none(flat):
    before = read(flat, test_fraction=0.2)
    train, test = widths(before.train), widths(before.test)
    assert 40 <= len(test) <= 80 and sorted(train + test) == list(range(1, 301))
    for i in range(301, 320):
        save(flat / "3" / f"{i}.png", 1, i)
    after = read(flat, test_fraction=0.2)
    assert [i for i in widths(after.train) if i <= 300] == train
    assert [i for i in widths(after.test) if i <= 300] == test
    tested = widths(after.test)
    moved = flat.rename(flat.parent / "moved elsewhere")
    assert widths(read(moved, test_fraction=0.2).test) == tested
    assert set(widths(read(moved, test_fraction=0.1).test)) < set(tested)


def test_subfolders_are_classes_in_the_order_of_their_names(flat):
    splits = read(flat, labels=True, test_fraction=0.3)
    assert splits.num_classes == 7
    for images, labels in (splits[:4:2], splits[1:4:2]):
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, np.array(widths(images)) % 7)
    unlabelled = read(flat)
    assert unlabelled.train_labels is None and unlabelled.num_classes == 0


def test_numeric_classes_are_in_the_order_of_their_numbers(tmp_path, capsys):
    for split in ("train", "test"):
        for name in ("2", "10", "0", "01"):
            save(tmp_path / split / name / "a.png", 5, 1 + int(name))
    splits = read(tmp_path, labels=True)
    assert widths(splits.train) == [1, 2, 11, 3]  # In the order of their paths.
    np.testing.assert_array_equal(splits.train_labels, [0, 1, 3, 2])
    printed = capsys.readouterr().out
    assert printed.endswith("in 'test'; 4 classes: 0 = 0, 1 = 01, 2 = 2, 3 = 10\n")
    for split in ("train", "test"):
        save(tmp_path / split / "1a" / "a.png")
    read(tmp_path, labels=True)
    assert capsys.readouterr().out.endswith(": 0 = 0, 1 = 01, 2 = 10, 3 = 1a, 4 = 2\n")


def test_the_splits_and_up_to_100_classes_are_printed_in_one_line(flat, capsys):
    splits = read(flat, labels=True, test_fraction=0.3)
    train, test = len(splits.train), len(splits.test)
    printed = f"{flat}: {train} training images and {test} test images, assigned by a "
    classes = "; 7 classes: 0 = 0, 1 = 1, 2 = 2, 3 = 3, 4 = 4, 5 = 5, 6 = 6\n"
    assert capsys.readouterr().out == f"{printed}hash of their paths{classes}"
    for i in range(1, 301):
        save(flat / str(i % 101) / f"{i}.png", 1, i)
    read(flat, labels=True)
    assert capsys.readouterr().out.endswith("4 = 4, 5 = 5 and 95 more\n")


def test_names_that_are_not_utf8_are_printed(tmp_path, capsys):
    for split in ("train", "test"):
        for name in (b"\xff", b"b"):
            save(tmp_path / split / os.fsdecode(name) / "a.png")
    (tmp_path / "train" / os.fsdecode(b"a.\xff")).touch()
    read(tmp_path, labels=True)
    printed = capsys.readouterr().out
    assert "skipped 1 file: 1 .\\udcff\n" in printed
    assert printed.endswith("2 classes: 0 = b, 1 = \\udcff\n")


def test_classes_are_the_subfolders_of_the_splits_without_broken_files(tmp_path):
    for split in ("train", "val"):
        for i, name in enumerate(("dog/old", "cat/young", "eel")):
            save(tmp_path / split / name / "a.png", 5, 9 - i)
    (tmp_path / "train" / "cat" / "broken.png").write_bytes(b"")
    splits = read(tmp_path, labels=True, max_unreadable=0.2)
    assert widths(splits.train) == [8, 9, 7]
    np.testing.assert_array_equal(splits.train_labels, [0, 1, 2])
    label = dict(zip(widths(splits.test), splits.test_labels, strict=True))
    assert label == {8: 0, 9: 1, 7: 2}  # Shuffled.


def test_the_first_test_images_represent_all_classes(tmp_path):
    for split in ("train", "test"):
        for i in range(40):
            save(tmp_path / split / ("cat" if i < 20 else "dog") / f"{i}.png", 5, 5)
    labels = read(tmp_path, labels=True).test_labels
    assert 3 <= labels[:10].sum() <= 7 and labels.sum() == 20


def test_labels_without_matching_subfolders_raise(tmp_path):
    for name in ("train/cat/a.png", "train/dog/a.png", "test/cat/a.png"):
        save(tmp_path / name)
    message = complaint(tmp_path, labels=True)
    assert "no image of class 'dog' in the split 'test'" in message
    save(tmp_path / "test" / "ant" / "a.png")
    assert "'ant' in the split 'train'" in complaint(tmp_path, labels=True)
    shutil.rmtree(tmp_path / "test" / "ant")
    shutil.rmtree(tmp_path / "train" / "dog")
    assert "only 'cat'" in complaint(tmp_path, labels=True)
    save(tmp_path / "train" / "stray.png")
    assert "'train/stray.png' has no class" in complaint(tmp_path, labels=True)
