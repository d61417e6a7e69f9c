"""Atomic file writes."""

import os

import numpy as np
import pytest

from colddiff_jax.io.atomic import save_npz, write_atomically


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "file"
    write_atomically(str(path), b"old")
    with pytest.raises(TypeError):
        write_atomically(str(path), "not bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_permissions_of_other_new_files(tmp_path, monkeypatch):
    (tmp_path / "usual").touch()
    # It belongs to the whole process, so other threads would use it, too.
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is changed"))
    write_atomically(str(tmp_path / "file"), b"data")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_data_are_flushed_to_disk_before_the_file_gets_its_name(tmp_path, monkeypatch):
    calls = []

    def recorded(name, function):
        def call(*arguments):
            calls.append(name)
            return function(*arguments)

        monkeypatch.setattr(os, name, call)

    recorded("fsync", os.fsync)
    recorded("replace", os.replace)
    write_atomically(str(tmp_path / "file"), b"data")
    assert calls == ["fsync", "replace", "fsync"]


def test_arrays_survive_the_round_trip(tmp_path):
    save_npz(str(tmp_path / "a.npz"), x=np.arange(3.0))
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["x"], np.arange(3.0))
