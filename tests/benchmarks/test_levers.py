"""Studies of levers go on where they were interrupted, and make the tables of docs."""

import json

import pytest

from benchmarks import carried_inputs, levers, training_levers, walk_levers


@pytest.fixture(autouse=True)
def two_seeds(monkeypatch):
    for name, value in (("NUM_STEPS", 600), ("SEEDS", 2), ("NUM_IMAGES", 10)):
        monkeypatch.setattr(levers, name, type("Flag", (), {"value": value}))


def test_a_study_keeps_every_run_and_repeats_none(tmp_path, monkeypatch):
    monkeypatch.setattr(levers.timing, "RESULTS", tmp_path)
    done = []

    def run(lever, seed):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append((lever, seed))
        return {"num_steps": 5, "rmse": 0.1 + seed}

    def study():
        return levers.study("walks", "configs/mnist_blur.py:cpu", "ab", run, T=20)

    with pytest.raises(KeyboardInterrupt):
        study()
    kept = json.loads((tmp_path / "walks" / "mnist_blur_cpu.json").read_text())
    assert [*kept["runs"]] == ["a, seed 0", "b, seed 0"]
    assert kept["T"] == 20 and "--seeds=2" in kept["command"]
    done.clear()
    found = study()
    assert done == [("a", 1), ("b", 1)] and len(found["runs"]) == 4
    row = levers.table(found, "a", [("RMSE", ("rmse",), 2)]).splitlines()[-1]
    assert row == "| a | 5 | 0.60 ± 0.50 |"


@pytest.mark.parametrize(
    ("study", "rows", "page"),
    [
        (training_levers, training_levers.LEVERS, "training"),
        (walk_levers, walk_levers.LEVERS, "results"),
        (carried_inputs, carried_inputs.INPUTS, "results"),
    ],
)
def test_the_tables_of_the_docs_are_those_that_a_study_prints(
    study, rows, page, pytestconfig
):
    root = pytestconfig.rootpath
    text = (root / "docs" / f"{page}.md").read_text()
    name = study.__name__.rpartition(".")[2]
    found = sorted((root / "benchmarks" / "results" / name).glob("*.json"))
    assert len(found) == 2
    for path in found:
        assert levers.table(json.loads(path.read_text()), rows, study.COLUMNS) in text
