"""Scoring generated images of a run from its folder."""

import json

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, sampling
from colddiff_jax.evaluation import evaluate_generated_run
from tests.restoration.runs import npz_config, save_images, save_run

FEW = {"samplers": ["direct", "alg2:2"], "features": ["none"], "batch_size": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An untrained run on 32 and 8 images, whose model has no prior of its own."""
    folder = tmp_path_factory.mktemp("made")
    save_images(folder / "images.npz")
    config = npz_config(folder / "images.npz")
    config.degradation.stds.num_steps = 3
    save_run(config, folder / "run", {3: 0.1})
    return folder / "run"


@pytest.fixture(scope="module")
def prior():
    x_T = np.random.default_rng(0).normal(size=(1, 16, 16, 1)) / 2
    return {"prior": sampling.PerturbedPrior(sampling.EmpiricalPrior(x_T), 0.3)}


@pytest.fixture(scope="module")
def results(run, prior):
    command = "python evaluate.py --generate=20"
    return evaluate_generated_run(str(run), 20, options=prior, command=command, **FEW)


def test_results_are_written_to_the_run_folder(run, results, capsys):
    out = run / "generation"
    names = {"generation.json", "generation.md", "generated.png", "nearest.png"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "generation.json").read_text()) == results
    assert results["command"] == "python evaluate.py --generate=20"
    assert results["seconds"] > 0
    settings = results["settings"]
    assert settings["step"] == 3 and settings["generate"] == 20
    assert {"weights", "config", "versions", "device", "seed"} < settings.keys()
    assert settings["data"]["split"] == "train" and settings["data"]["count"] == 32
    rows = ["direct", "alg2:2", "test images"]
    assert list(results["copies"]) == rows and results["distances"] == {}
    assert "standard_deviations" not in results


def test_the_table_has_a_row_for_each_sampler_and_one_of_test_images(run, results):
    page = (run / "generation" / "generation.md").read_text().splitlines()
    heading, _, head, _, *rows = page
    assert heading == "20 generated images and 32 images (images, train split), step 3"
    assert head == "| | nearest, RMSE | copies, % |"
    for row, title in zip(
        rows, ("direct", "Algorithm 2, 2 steps", "test images"), strict=False
    ):
        scores = [*results["copies"].values()][rows.index(row)]
        expected = f"{scores['rmse']:.4f} | {100 * scores['share']:.1f}"
        assert row == f"| {title} | {expected} |"
    threshold = results["settings"]["copies"]["threshold"]
    assert f"of the 8 test images are (RMSE {threshold:.4f})." in "\n".join(rows)
    assert sum(row.startswith("Note: ") for row in rows) == 2


def test_the_pictures_show_the_first_images_and_the_nearest_training_images(
    run, results
):
    with Image.open(run / "generation" / "generated.png") as picture:
        # Two lines of 16 images for each sampler, and one line of 8 test images.
        assert picture.height == 5 * (16 * 4 + 2)
        assert picture.width > 16 * (16 * 4 + 2)
    with Image.open(run / "generation" / "nearest.png") as picture:
        assert picture.height == 2 * 3 * (16 * 4 + 2)
        assert 10 * (16 * 4 + 2) < picture.width < 14 * (16 * 4 + 2)


def test_several_seeds_have_means_and_spreads(run, prior, tmp_path, results):
    found = evaluate_generated_run(
        str(run), 20, out=str(tmp_path), options=prior, seeds=[0, 5], **FEW
    )
    seed = str(results["settings"]["seed"][0])
    assert found["settings"]["seed"] == [0, 5] and seed == "0"
    assert found["by_seed"]["0"]["copies"] == results["copies"]
    values = [found["by_seed"][seed]["copies"]["alg2:2"]["rmse"] for seed in ("0", "5")]
    assert values[0] != values[1]
    assert found["copies"]["alg2:2"]["rmse"] == pytest.approx(np.mean(values))
    spread = found["standard_deviations"]["copies"]["alg2:2"]["rmse"]
    assert spread == pytest.approx(np.std(values))
    page = (tmp_path / "generation.md").read_text()
    assert "step 3, means ± standard deviations over 2 seeds\n" in page
    assert f"| {np.mean(values):.4f} ± {spread:.1g} |" in page


def test_an_unusable_folder_or_a_missing_prior_raises_before_any_work(
    run, prior, tmp_path
):
    (tmp_path / "file").write_text("")
    for name in ("out", "save_references"):
        options = {"options": prior, name: str(tmp_path / "file")}
        with pytest.raises(InputError, match="file: File exists; name a folder, not a"):
            evaluate_generated_run(str(run), 20, **options, **FEW)
    with pytest.raises(InputError, match="give a `prior`, such as sampling"):
        evaluate_generated_run(str(run), 20, out=str(tmp_path / "out"), **FEW)
    options = {"options": prior, "save_references": str(tmp_path / "references")}
    with pytest.raises(InputError, match="`save_references` needs a feature network"):
        evaluate_generated_run(str(run), 20, out=str(tmp_path), **options, **FEW)
    assert not list(tmp_path.glob("*/*"))
