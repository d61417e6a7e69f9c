"""Folders of image files: splits and classes."""

import shutil

import numpy as np
import pytest

from tests.data.image_folders import complaint, read, save, widths


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_subfolders_are_the_splits(tmp_path, name):
    save(tmp_path / "train" / "a.png", 7)
    save(tmp_path / name / "a.png", 9)
    splits = read(tmp_path)
    assert splits.train[0].shape == (7, 8, 3) and splits.test[0].shape == (9, 8, 3)
    assert len(splits.train) == len(splits.test) == 1


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
    for images, labels in (splits[::2], splits[1::2]):
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, np.array(widths(images)) % 7)
    unlabelled = read(flat)
    assert unlabelled.train_labels is None and unlabelled.num_classes == 0


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
