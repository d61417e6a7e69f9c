"""`python -m benchmarks`, in its smallest form."""

import json

import jax
import pytest

import benchmarks.__main__ as command
from benchmarks import timing
from benchmarks.suite import turns
from benchmarks.suite.optional import theirs


def test_every_part_measures_ours_and_writes_it_with_its_provenance(
    tmp_path, capsys, monkeypatch
):
    # Sizes are tiny, and turns of a tenth of a second would be most of the time.
    monkeypatch.setattr(turns, "LEAST_SECONDS", 0.0)
    path = tmp_path / "suite.json"
    command.main(["--form=smoke", f"--out={path}"])
    written = json.loads(path.read_text())
    printed = capsys.readouterr().out
    assert [*written["parts"]] == command.NAMES
    assert written["form"] == "smoke"
    assert written["jax"] == jax.__version__
    assert written["commit"] == timing.provenance()["commit"]
    for name, part in written["parts"].items():
        assert f"\n{name} (" in printed
        assert part["rows"]
        for row in part["rows"].values():
            (over,) = (key for key in row if key.startswith("over "))
            assert all(seconds > 0 for seconds in row["seconds"].values())
            assert row["seconds"].keys() - row[over].keys() == {over[len("over ") :]}
    assert ("PyTorch is not installed" in printed) == (theirs is None)
    compared = "PyTorch" in str(written["parts"]["training"]["rows"])
    assert compared == (theirs is not None)


def test_only_some_parts_are_not_written_as_the_whole(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    command.main(["--form=smoke", "--only=degrading"])
    assert "degrading (" in capsys.readouterr().out
    assert not [*tmp_path.iterdir()]


def test_an_unknown_part_is_an_error(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only=painting"])
    assert "'painting'" in capsys.readouterr().err
