"""Folders that are created atomically, and the detection of damage to them."""

import json
import os

import pytest

from colddiff_jax import InputError
from colddiff_jax.io import integrity


@pytest.fixture
def folder(tmp_path):
    with integrity.new_folder(str(tmp_path / "made")) as part:
        os.mkdir(os.path.join(part, "inner"))
        for name, data in {"a": b"first", "inner/b": b"second", "empty": b""}.items():
            with open(os.path.join(part, name), "wb") as file:
                file.write(data)
    return tmp_path / "made"


def test_an_incomplete_folder_never_has_the_final_name(tmp_path):
    path = tmp_path / "made"
    with (
        pytest.raises(RuntimeError, match="half-way"),
        integrity.new_folder(str(path)) as part,
    ):
        (tmp_path / "made.part" / "a").write_bytes(b"first")
        assert part == str(path) + ".part" and not path.exists()
        raise RuntimeError("half-way")
    assert not os.listdir(tmp_path)


def test_an_unchanged_folder_is_intact_even_if_moved(folder, tmp_path):
    assert integrity.damage(str(folder)) is None
    os.rename(folder, tmp_path / "moved")
    assert integrity.damage(str(tmp_path / "moved")) is None


def test_every_flipped_bit_of_a_file_is_detected(folder):
    for position in range(len(b"second") * 8):
        data = bytearray(b"second")
        data[position // 8] ^= 1 << position % 8
        (folder / "inner" / "b").write_bytes(data)
        assert integrity.damage(str(folder)) == "inner/b is corrupted"
    (folder / "inner" / "b").write_bytes(b"second")
    assert integrity.damage(str(folder)) is None


def test_missing_truncated_and_changed_files_are_named(folder):
    (folder / "empty").write_bytes(b"\0")
    assert integrity.damage(str(folder)) == "empty is corrupted"
    (folder / "a").write_bytes(b"firs")
    assert integrity.damage(str(folder)) == "a is corrupted"
    (folder / "a").unlink()
    assert integrity.damage(str(folder)) == "a is missing"
    (folder / "a").mkdir()
    assert integrity.damage(str(folder)) == "a is missing"


@pytest.mark.parametrize("name", ["a", integrity.MANIFEST])
def test_an_unreadable_file_does_not_count_as_damaged(name, folder):
    (folder / name).unlink()
    (folder / name).symlink_to(name)  # The link points to itself.
    with pytest.raises(InputError, match=f"{name} cannot be read .*; make it"):
        integrity.damage(str(folder))


def test_damage_to_any_bit_of_the_manifest_is_detected(folder):
    manifest = folder / integrity.MANIFEST
    whole = manifest.read_bytes()
    assert set(json.loads(whole)) == {"a", "inner/b", "empty"}
    for position in range(len(whole) * 8):
        data = bytearray(whole)
        data[position // 8] ^= 1 << position % 8
        manifest.write_bytes(data)
        # A flipped bit may turn white space into other white space.
        try:
            harmless = json.loads(data) == json.loads(whole)
        except ValueError:
            harmless = False
        assert (integrity.damage(str(folder)) is None) == harmless
    for length in range(len(whole) - 1):
        manifest.write_bytes(whole[:length])
        assert integrity.damage(str(folder)) == "manifest.json is corrupted"
    manifest.unlink()
    assert integrity.damage(str(folder)) == "manifest.json is missing"
    manifest.mkdir()
    message = "manifest.json is missing"
    assert integrity.damage(str(folder)) == message


def test_only_leftovers_are_replaced_and_deleted(folder, tmp_path):
    for leftover in ("made.part", "made.deleted", "new.part"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "old").touch()
    with integrity.new_folder(str(tmp_path / "new")):
        pass
    assert os.listdir(tmp_path / "new") == [integrity.MANIFEST]
    integrity.delete_folder(str(folder))
    assert sorted(os.listdir(tmp_path)) == ["made.part", "new"]
    integrity.delete_leftovers(str(tmp_path))
    assert os.listdir(tmp_path) == ["new"]


def test_a_damaged_file_name_in_the_manifest_is_damage_to_the_manifest(folder):
    manifest = folder / integrity.MANIFEST
    manifest.write_text(manifest.read_text().replace("inner/b", "inner/c"))
    assert integrity.damage(str(folder)) == f"{integrity.MANIFEST} is corrupted"
    (folder / "inner" / "b").unlink()
    assert integrity.damage(str(folder)) == "inner/c is missing"
