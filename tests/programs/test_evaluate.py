"""evaluate.py and the export of a model as users run them."""

import json

import jax
import jax.export
import numpy as np
import pytest
from PIL import Image

from colddiff_jax import sample_heun
from colddiff_jax.restoration import load_run
from tests.programs.running import EVALUATE, EXPORT, check_failure, run, run_failing

REFERENCE = "references/digits_test_classifier.npz"
MODEL = "evaluate.py --workdir=given/digits.safetensors"


@pytest.fixture(scope="module")
def scores(folder):
    """The finished command that writes scores and a reference."""
    options = "--num_images=50 --save_references=references --out=scores"
    return run(f"{EVALUATE} {options}", folder)


def test_it_writes_the_same_scores_twice(folder, scores):
    again = run(f"{EVALUATE} --num_images=50 --out=again", folder)
    assert scores.returncode == again.returncode == 0, scores.stderr + again.stderr
    assert scores.stderr == again.stderr == "evaluating: 50 images\n"
    assert "training a classifier" not in scores.stdout  # The cache has one.
    first, second = (
        json.loads((folder / out / "results.json").read_text())
        for out in ("scores", "again")
    )
    assert first.pop("seconds") > 0 and second.pop("seconds") > 0
    assert "--num_images=50" in first.pop("command") != second.pop("command")
    assert list(first.pop("commands")) == list(second.pop("commands"))
    assert first == second
    assert first["settings"]["data"]["count"] == 50
    assert list(first["pixels"]) == ["degraded", "direct", "alg1", "alg2"]
    assert list(first["distances"]) == ["classifier"]
    table = (folder / "scores" / "results.md").read_text()
    assert table in scores.stdout.replace("\nreferences", "\n")
    rmse = first["pixels"]["direct"]["rmse"]
    assert f"| direct | {rmse:.3f} |" in table and "Frechet, classifier" in table
    names = {"results.json", "results.md", "histograms.png"}
    names |= {"best.png", "median.png", "worst.png"}
    assert {path.name for path in (folder / "scores").iterdir()} == names


def test_it_scores_by_samplers_seeds_faults_and_references(folder, scores):
    assert scores.returncode == 0, scores.stderr
    options = "--num_images=20 --samplers=direct,heun:3 --seeds=0,1 --out=more"
    options += f" --references={REFERENCE}"
    done = run(f"{EVALUATE} {options} --protocol=values_not_clipped", folder, 4)
    # The reference was computed from clipped values.
    assert done.returncode == 1
    assert "protocol.values_not_clipped is" in done.stderr
    done = run(f"{EVALUATE} {options} --protocol=first_image_skipped", folder, 4)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "more" / "results.json").read_text())
    assert results["settings"]["seed"] == [0, 1]
    assert results["settings"]["faults"] == ["first_image_skipped"]
    assert list(results["pixels"]) == ["degraded", "direct", "heun:3"]
    assert any(note.startswith("count is 50") for note in results["notes"])


def test_it_repeats_the_published_protocol(folder):
    options = "--num_images=55 --samplers=direct,alg2 --features=classifier"
    done = run(f"{EVALUATE} {options} --protocol=published --out=faulty", folder)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "faulty" / "results.json").read_text())
    faults = ["first_image_skipped", "values_not_clipped", "feature_rows_unfilled"]
    assert results["settings"]["faults"] == faults
    assert results["settings"]["first_image"] == 1
    table = (folder / "faulty" / "results.md").read_text()
    assert f"with the faults {', '.join(faults)}" in table


def test_an_exported_model_scores_a_folder(folder):
    done = run(f"{EXPORT} --out=given/digits.safetensors", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("given/digits.safetensors: step 6")
    (folder / "photos").mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (20, 24), np.uint8)
        Image.fromarray(noise).save(folder / "photos" / f"{i}.png")
    done = run(f"{MODEL} --folder=photos --samplers=direct --features=none", folder)
    assert done.returncode == 0, done.stderr
    path = folder / "given" / "digits" / "evaluation" / "results.json"
    results = json.loads(path.read_text())
    assert results["settings"]["data"]["count"] == 3
    assert results["settings"]["data"]["source"] == "photos"
    assert 0 < results["pixels"]["direct"]["rmse"] < 1


def test_an_exported_sampler_takes_the_steps_of_its_flags(folder):
    done = run(f"{EXPORT} --out=given/x.stablehlo --sampler=heun --steps=2", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("given/x.stablehlo: step 6")
    program = (folder / "given" / "x.stablehlo").read_bytes()
    x_T = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 1)).astype(np.float32)
    found = jax.jit(jax.export.deserialize(bytearray(program)).call)(x_T)
    restorer = load_run(str(folder / "runs" / "digits_blur-smoke"))
    degrade = restorer.model.degrade
    expected = sample_heun(restorer.restore_fn, degrade, x_T, timesteps=2).x_0
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


BAD = {
    "evaluate.py --workdir=nowhere": "no run folder 'nowhere'",
    f"{EVALUATE} --num_images=298": "--num_images must lie in 1..297",
    f"{EVALUATE} --out=shape.npz": "shape.npz: File exists; name a folder, not a file",
    f"{EVALUATE} --num_images=3 --features=classifier": "at least 5 images, got 3",
    f"{EVALUATE} --samplers=alg2:21": "a sampler must take 1..20 steps",
    f"{EVALUATE} --features=vgg": "files of weights (.npz or .pth)",
    f"{EVALUATE} --features=inception": "pt_inception-2015-12-05-6726825d.pth",
    f"{EVALUATE} --features=shape.npz": "shape.npz",
    f"{EVALUATE} --protocol=unsound": "got 'unsound'",
    f"{EVALUATE} --seeds=-1": "--seeds must be non-negative integers, got '-1'",
    f"{EVALUATE} --references=shape.npz": "shape.npz",
    f"{EVALUATE} --folder=nowhere": "no folder 'nowhere'",
    f"{EVALUATE} --folder=. --split=train": "--split and --folder name two sets",
    f"{EVALUATE} --batch_size=6": "--batch_size must be a positive multiple of the 4",
    f"{EVALUATE} --features=none --save_references=references": (
        "--save_references needs a feature network; choose one with --features"
    ),
    EXPORT: "--out is missing",
    f"{EXPORT} --out=runs": "--out must name a file, and 'runs' is a folder",
    f"{EXPORT} --out=model": (
        "--out must end in one of .safetensors, .stablehlo, .onnx, got 'model'"
    ),
    f"{EXPORT} --out=x.onnx --steps=5": "--steps needs an --out that ends in .stabl",
    f"{EXPORT} --out=x.stablehlo --steps=21": "a sampler must take 1..20 steps",
    f"{EXPORT} --out=x.stablehlo --sampler=ddim": "ddim needs a model trained on",
    f"{EXPORT} --out=x.stablehlo --endpoint=estimated": "--endpoint estimated needs",
    f"{EXPORT} --out=shape.npz/model.safetensors": "cannot write to",
    "evaluate.py --workdir=shape.npz": "'shape.npz' is not a model file",
}


@pytest.fixture(scope="module")
def answers(folder):
    """By bad command, the exit status and the text written to stderr."""
    return run_failing(BAD, folder)


@pytest.mark.parametrize("command", BAD)
def test_bad_input_ends_in_one_clear_line_and_status_1(answers, command):
    check_failure(command, answers[command], BAD[command])
