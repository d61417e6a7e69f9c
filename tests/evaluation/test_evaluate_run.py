"""Evaluating a run from its folder or file."""

import json
import os
import shutil

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.evaluation import evaluate_run
from colddiff_jax.evaluation.output import write_references
from colddiff_jax.io.figures import save_png
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.loading import load_run
from tests.evaluation.models import random_reference
from tests.restoration.runs import npz_config, save_images, save_run

FEW = {"samplers": ("direct", "alg2:2"), "features": ["none"], "batch_size": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An untrained run on 32 and 8 images."""
    folder = tmp_path_factory.mktemp("made")
    save_images(folder / "images.npz")
    config = npz_config(folder / "images.npz")
    config.degradation.stds.num_steps = 3
    save_run(config, folder / "run", {3: 0.1})
    return folder


@pytest.fixture(scope="module")
def results(made):
    return evaluate_run(str(made / "run"), command="python evaluate.py", **FEW)


def test_results_are_written_to_the_run_folder(made, results):
    out = made / "run" / "evaluation"
    assert json.loads((out / "results.json").read_text()) == results
    assert results["command"] == "python evaluate.py" and results["seconds"] > 0
    assert results["settings"]["step"] == 3
    assert results["settings"]["data"]["count"] == 8
    assert {"weights", "samplers", "features", "versions"} < results["settings"].keys()
    assert list(results["pixels"]) == ["degraded", "direct", "alg2:2"]
    assert not (out / "part").exists()


def test_the_training_split_and_several_seeds_can_be_scored(made, results, tmp_path):
    found = evaluate_run(
        str(made / "run"),
        out=str(tmp_path),
        split="train",
        num_images=8,
        seeds=[0, 5],
        **FEW,
    )
    assert found["settings"]["data"]["split"] == "train"
    assert found["settings"]["seed"] == [0, 5]
    assert found["pixels"] != results["pixels"]


def test_other_samplers_are_added_to_the_results_and_the_table(made, tmp_path, capsys):
    def evaluate(samplers, **options):
        options = FEW | {"samplers": samplers, **options}
        command = f"python evaluate.py --samplers={','.join(samplers)}"
        return evaluate_run(
            str(made / "run"), out=str(tmp_path), command=command, **options
        )

    first = evaluate(["direct", "alg2:2"])
    both = evaluate(["heun:2", "direct"], batch_size=8)
    assert json.loads((tmp_path / "results.json").read_text()) == both
    assert list(both["pixels"]) == ["degraded", "direct", "alg2:2", "heun:2"]
    assert both["pixels"]["alg2:2"] == first["pixels"]["alg2:2"]
    assert both["settings"]["samplers"] == ["direct", "alg2:2", "heun:2"]
    commands = [both["commands"][name] for name in both["settings"]["samplers"]]
    assert [text.rpartition("=")[2] for text in commands] == [
        "heun:2,direct", "direct,alg2:2", "heun:2,direct",
    ]  # fmt: skip
    rows = (tmp_path / "results.md").read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[4:8]] == [
        "| degraded", "| direct", "| Algorithm 2, 2 steps", "| Heun, 2 steps",
    ]  # fmt: skip
    assert "anew" not in capsys.readouterr().out
    anew = evaluate(["heun:2"], num_images=4)
    assert list(anew["pixels"]) == ["degraded", "heun:2"]
    message = "results.json was of other settings (data); the results begin anew\n"
    assert message in capsys.readouterr().out
    assert "Algorithm 2" not in (tmp_path / "results.md").read_text()


def test_a_file_scores_a_folder_although_its_data_is_missing(made, tmp_path):
    file = str(tmp_path / "model.safetensors")
    shutil.copytree(made / "run", tmp_path / "run")
    os.rename(made / "images.npz", made / "hidden.npz")
    try:
        export_model(load_run(str(tmp_path / "run")), file)
        (tmp_path / "photos").mkdir()
        for i in range(3):
            pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)
            save_png(str(tmp_path / "photos" / f"{i}.png"), pixels)
        folder = str(tmp_path / "photos")
        by_file, by_run = (
            evaluate_run(path, folder=folder, **FEW)
            for path in (file, str(tmp_path / "run"))
        )
        with pytest.raises(InputError, match=r"no file .* \(from the configuration"):
            evaluate_run(file, **FEW)
    finally:
        os.rename(made / "hidden.npz", made / "images.npz")
    assert (tmp_path / "model" / "evaluation" / "results.json").is_file()
    assert by_file["pixels"] == by_run["pixels"]
    assert by_file["settings"]["data"]["source"] == folder


def test_arguments_that_do_not_fit_raise(made, tmp_path):
    workdir, out = str(made / "run"), str(tmp_path / "out")
    for options, message in (
        ({"folder": ".", "split": "train"}, "`split` and `folder` name two sets"),
        ({"folder": "nowhere"}, "no folder 'nowhere'; `folder` must name a folder"),
        ({"protocol": "unsound"}, "`protocol` must be sound, .* got 'unsound'"),
        ({"num_images": 9}, r"`num_images` must lie in 1..8"),
        ({"save_references": out}, "`save_references` needs a feature network"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate_run(workdir, out=out, **FEW | options)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: File exists; name a folder, not a"):
        evaluate_run(workdir, out=str(tmp_path / "file"), **FEW)


def test_references_need_their_feature_network(made, tmp_path):
    for name in ("one", "two"):
        write_references(str(tmp_path / name), {"colours": random_reference()})
    paths = [str(tmp_path / n / "mnist_test_colours.npz") for n in ("one", "two")]
    with pytest.raises(InputError, match="lists two files for one feature network"):
        evaluate_run(str(made / "run"), references=paths, **FEW)
    with pytest.raises(InputError, match="feature network colours, which `features`"):
        evaluate_run(str(made / "run"), references=paths[:1], **FEW)
