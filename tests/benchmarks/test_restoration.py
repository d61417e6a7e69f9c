"""The experiments of benchmarks/restoration.py: what their commands ask for exists."""

import json

import pytest

from benchmarks import restoration
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.restoration.samplers import parse_samplers
from colddiff_jax.training.config import get_config
from colddiff_jax.training.overrides import override
from tests.conftest import ROOT

EXPERIMENTS = {found.name: found for found in restoration.EXPERIMENTS}


def test_every_run_has_a_folder_of_its_own():
    assert len(EXPERIMENTS) == len(restoration.EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_commands_name_configurations_fields_and_samplers_that_exist(name):
    training, scoring, exporting = restoration.commands(EXPERIMENTS[name], "D", "R")
    config = get_config(
        training[1].removeprefix("--config=configs/").replace(".py", "")
    )
    changes = [
        tuple(flag.removeprefix("--config.").split("=", 1))
        for flag in training
        if flag.startswith("--config.")
    ]
    changed, _ = override(config, changes)
    assert changed["data"]["path"] == f"D/{EXPERIMENTS[name].data}.npz"
    assert training[2] == scoring[1] == f"--workdir=R/{name}"
    assert exporting[-1] == f"--out=R/{name}.safetensors"
    degrade = make_degradation(changed["degradation"], changed["data"]["image_size"])
    assert parse_samplers(EXPERIMENTS[name].samplers, degrade)[0].name == "direct"


def test_finished_results_are_kept_with_a_command_that_anyone_can_type(
    tmp_path, monkeypatch
):
    folder = tmp_path / "runs" / "mnist_blur" / "evaluation"
    folder.mkdir(parents=True)
    path = ROOT / "benchmarks" / "results" / "restoration" / "mnist_blur.json"
    kept = json.loads(path.read_text())
    scores = {key: kept[key] for key in ("settings", "pixels", "distances", "paper")}
    scores |= {"command": "secret", "commands": {}, "seconds": 1.0}
    (folder / "results.json").write_text(json.dumps(scores))
    (folder / "median.png").write_bytes(b"picture")
    monkeypatch.setattr(restoration.timing, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(restoration, "ROOT", tmp_path)
    restoration.keep(EXPERIMENTS["mnist_blur"], str(tmp_path / "runs"))
    found = json.loads((tmp_path / "results/restoration/mnist_blur.json").read_text())
    for key in ("training", "command", "machine", "pixels", "distances"):
        assert found[key] == kept[key]
    picture = tmp_path / "docs" / "images" / "results" / "mnist_blur.png"
    assert picture.read_bytes() == b"picture"
