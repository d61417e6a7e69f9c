"""Finding and verifying files of published weights."""

import hashlib

import pytest

import colddiff_jax as cd
from colddiff_jax.feature_nets.weights import cache_folder, check_sha256, find_weights


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COLDDIFF_DATA", raising=False)
    monkeypatch.delenv("COLDDIFF_CACHE", raising=False)
    return tmp_path


def test_the_cache_folder_defaults_to_home_and_can_be_set(home, monkeypatch):
    assert cache_folder() == str(home / ".cache" / "colddiff_jax")
    monkeypatch.setenv("COLDDIFF_CACHE", "~/elsewhere")
    assert cache_folder() == str(home / "elsewhere")


def test_weights_are_searched_for_in_order(home, monkeypatch):
    monkeypatch.setenv("COLDDIFF_DATA", str(home / "data"))
    monkeypatch.setenv("COLDDIFF_CACHE", str(home / "cache"))
    assert find_weights("net.pth") is None
    (home / "data" / "net.pth").mkdir(parents=True)  # Not a file.
    folders = [
        home / ".cache" / "torch" / "hub" / "checkpoints",
        home / "cache",
        home / "data" / "weights",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "net.pth").touch()
        assert find_weights("net.pth") == str(folder / "net.pth")
    (home / "data" / "other.pth").touch()
    (home / "data" / "weights" / "other.pth").touch()
    assert find_weights("other.pth") == str(home / "data" / "other.pth")


def test_raises_for_other_missing_or_unreadable_files(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    check_sha256(str(path), digest)
    path.write_bytes(b"weight")
    with pytest.raises(cd.InputError, match=rf"net.pth' has SHA-256 .* of {digest}: "):
        check_sha256(str(path), digest)
    with pytest.raises(cd.InputError, match=r"no file '.*missing.pth'"):
        check_sha256(str(tmp_path / "missing.pth"), digest)
    with pytest.raises(cd.InputError, match=r"cannot be read \(Is a directory\)"):
        check_sha256(str(tmp_path), digest)
