"""A new folder is on disk before it gets its name, also after a power failure."""

import os

from colddiff_jax.io import integrity


def test_all_files_and_folders_are_flushed_before_a_folder_gets_its_name(
    tmp_path, monkeypatch
):
    flushed, before = set(), set()
    fsync, rename = os.fsync, os.rename

    def record(descriptor):
        fsync(descriptor)
        flushed.add(os.fstat(descriptor).st_ino)

    def commit(source, target):
        before.update(flushed)
        flushed.clear()
        rename(source, target)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(os, "rename", commit)
    path = tmp_path / "made"
    with integrity.new_folder(str(path)) as part:
        os.mkdir(os.path.join(part, "inner"))
        for name in ("a", "inner/b"):
            with open(os.path.join(part, name), "w") as file:
                file.write(name)
    made = [path, *path.rglob("*")]
    assert len(made) == 5  # With the manifest.
    assert {entry.stat().st_ino for entry in made} <= before
    assert tmp_path.stat().st_ino in flushed
