"""Folders that are whole or not there, and what is found wrong with them."""

import json
import os

import pytest

from colddiff_jax import InputError, integrity


@pytest.fixture
def folder(tmp_path):
    with integrity.new_folder(str(tmp_path / "made")) as part:
        os.mkdir(os.path.join(part, "inner"))
        for name, data in {"a": b"first", "inner/b": b"second", "empty": b""}.items():
            with open(os.path.join(part, name), "wb") as file:
                file.write(data)
    return tmp_path / "made"


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "made"
    with (
        pytest.raises(RuntimeError, match="half-way"),
        integrity.new_folder(str(path)) as part,
    ):
        (tmp_path / "made.part" / "a").write_bytes(b"first")
        assert part == str(path) + ".part" and not path.exists()
        raise RuntimeError("half-way")
    assert not os.listdir(tmp_path)


def test_an_unchanged_folder_is_not_damaged_wherever_it_is_moved(folder, tmp_path):
    assert integrity.damage(str(folder)) is None
    os.rename(folder, tmp_path / "moved")
    assert integrity.damage(str(tmp_path / "moved")) is None


def test_every_flipped_bit_of_a_file_is_found(folder):
    for position in range(len(b"second") * 8):
        data = bytearray(b"second")
        data[position // 8] ^= 1 << position % 8
        (folder / "inner" / "b").write_bytes(data)
        assert integrity.damage(str(folder)) == "inner/b is not what was written"
    (folder / "inner" / "b").write_bytes(b"second")
    assert integrity.damage(str(folder)) is None


def test_missing_shortened_and_unreadable_files_are_named(folder):
    (folder / "empty").write_bytes(b"\0")
    assert integrity.damage(str(folder)) == "empty is not what was written"
    (folder / "a").write_bytes(b"firs")
    assert integrity.damage(str(folder)) == "a is not what was written"
    (folder / "a").unlink()
    assert integrity.damage(str(folder)) == "a is missing"
    (folder / "a").mkdir()
    assert integrity.damage(str(folder)) == "a is missing"


@pytest.mark.parametrize("name", ["a", integrity.MANIFEST])
def test_what_cannot_be_read_does_not_pass_for_damaged(name, folder):
    (folder / name).unlink()
    (folder / name).symlink_to(name)  # Reading it goes round in a circle.
    with pytest.raises(InputError, match=f"{name} cannot be read .*; make it"):
        integrity.damage(str(folder))


def test_a_damaged_manifest_is_damage_whichever_bit_it_is(folder):
    manifest = folder / integrity.MANIFEST
    whole = manifest.read_bytes()
    assert set(json.loads(whole)) == {"a", "inner/b", "empty"}
    for position in range(len(whole) * 8):
        data = bytearray(whole)
        data[position // 8] ^= 1 << position % 8
        manifest.write_bytes(data)
        # A flipped bit of a blank may leave another blank, which changes nothing.
        try:
            harmless = json.loads(data) == json.loads(whole)
        except ValueError:
            harmless = False
        assert (integrity.damage(str(folder)) is None) == harmless
    for length in range(len(whole) - 1):
        manifest.write_bytes(whole[:length])
        assert integrity.damage(str(folder)) == "manifest.json is not what was written"
    manifest.unlink()
    assert integrity.damage(str(folder)) == "manifest.json is missing"
    manifest.mkdir()
    message = "manifest.json is missing"
    assert integrity.damage(str(folder)) == message


def test_leftovers_are_replaced_and_deleted_and_nothing_else(folder, tmp_path):
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


def test_a_damaged_name_in_the_manifest_accuses_the_manifest(folder):
    manifest = folder / integrity.MANIFEST
    manifest.write_text(manifest.read_text().replace("inner/b", "inner/c"))
    assert (
        integrity.damage(str(folder)) == f"{integrity.MANIFEST} is not what was written"
    )
    (folder / "inner" / "b").unlink()
    assert integrity.damage(str(folder)) == "inner/c is missing"
