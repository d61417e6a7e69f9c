"""Folders of image files: every real folder and file is used once."""

import numpy as np
import pytest

from colddiff_jax import data
from tests.data.image_folders import complaint, read, save, widths


def found(root):
    return widths(data.images_in_folder(str(root)))


def test_links_between_siblings_do_not_multiply_images(tmp_path):
    for i in range(7):
        save(tmp_path / f"{i}" / "a.png", 5, i + 1)
    for i in range(7):
        for j in range(7):
            (tmp_path / f"{i}" / f"to{j}").symlink_to(tmp_path / f"{j}")
    (tmp_path / "0" / "all").symlink_to("..")
    assert found(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_a_link_moves_no_image_to_another_split_or_class(tmp_path):
    for i in range(40):
        save(tmp_path / f"m{i % 2}" / f"{i}.png", 5, i + 1)
    before = read(tmp_path, test_fraction=0.3, labels=True)
    (tmp_path / "a").symlink_to("m0")
    for i in range(20, 40):
        (tmp_path / f"m{i % 2}" / f"a{i}.png").symlink_to(f"{i}.png")
    after = read(tmp_path, test_fraction=0.3, labels=True)
    for old, new in zip(before[:2], after[:2], strict=True):
        assert widths(old) == widths(new)
    for old, new in zip(before[2:], after[2:], strict=True):
        np.testing.assert_array_equal(old, new)


def test_of_several_links_to_one_place_the_first_counts(tmp_path, capsys):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    save(elsewhere / "a.png", 5, 3)
    (elsewhere / "a.png").rename(elsewhere / "blob")  # The link has the extension.
    save(elsewhere / "in" / "x.png", 5, 4)
    save(root / "n.png", 5, 9)
    for names in (("m", "z.png"), ("p", "b.png")):
        for name, target in zip(names, ("in", "blob"), strict=True):
            (root / name).symlink_to(elsewhere / target)
        # b.png leads to the same file as z.png, and p to the same folder as m.
        assert found(root) == ([4, 9, 3] if names[0] == "m" else [3, 4, 9])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("target", ["..", "../test", "test"])
def test_a_link_puts_no_test_image_into_training(tmp_path, target):
    for i in range(3):
        save(tmp_path / "train" / f"{i}.png", 5, 1 + i)
        save(tmp_path / "test" / f"{i}.png", 5, 11 + i)
    (tmp_path / "train" / "all").symlink_to(target)
    (tmp_path / "test" / "all").symlink_to("..")
    splits = read(tmp_path, max_unreadable=0.5)
    assert widths(splits.train) == [1, 2, 3]
    assert sorted(widths(splits.test)) == [11, 12, 13]


def test_an_image_that_links_put_into_both_splits_is_a_test_image(tmp_path):
    save(tmp_path / "elsewhere" / "a.png", 5, 3)
    for i, split in enumerate(("train", "test")):
        save(tmp_path / "root" / split / "b.png", 5, 4 + i)
        (tmp_path / "root" / split / "linked").symlink_to(tmp_path / "elsewhere")
    splits = read(tmp_path / "root")
    assert widths(splits.train) == [4] and sorted(widths(splits.test)) == [3, 5]


def test_split_folders_may_be_links_but_not_to_the_same_images(tmp_path):
    save(tmp_path / "elsewhere" / "a.png", 5, 3)
    save(tmp_path / "elsewhere" / "held_out" / "a.png", 5, 4)
    root = tmp_path / "root"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (root / "test").symlink_to(tmp_path / "elsewhere" / "held_out")
    splits = read(root)
    assert widths(splits.train) == [3] and widths(splits.test) == [4]
    for target in ("train", tmp_path):
        (root / "test").unlink()
        (root / "test").symlink_to(target)
        assert "images in 'train' are also in 'test', by a link" in complaint(root)
