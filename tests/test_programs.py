"""The programs as a user runs them: what they write, and one line for bad input."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.data import digits
from colddiff_jax.experiment.builders import split_preprocessing
from colddiff_jax.feature_nets.classifier import classifier
from configs import digits_blur

ROOT = pathlib.Path(__file__).parent.parent
TRAIN = "train.py --config=configs/digits_blur.py:smoke"
SAMPLE = "sample.py --workdir=runs/digits_blur-smoke"
# A run with endpoints and with classes.
TRAIN_BOTH = (
    "train.py --config=configs/animorph.py:smoke --workdir=both "
    "--config.model.num_classes=10 --config.model.channel_multipliers=(1,) "
    "--config.degradation.alphas_cumprod.num_steps=4 --config.training.num_steps=1"
)
SAMPLE_BOTH = "sample.py --workdir=both"
REFERENCE = "references/digits_test_classifier.npz"
EVALUATE = "evaluate.py --workdir=runs/digits_blur-smoke"
EXPORT = "-m colddiff_jax.cli.export --workdir=runs/digits_blur-smoke"
MODEL = "evaluate.py --workdir=given/digits.safetensors"


def arguments_of(command: str) -> list[str]:
    """What follows `python` in a command, from another folder than the project's."""
    program, *options = command.split()
    options = [o.replace("configs/", f"{ROOT}/configs/") for o in options]
    return [program if program == "-m" else str(ROOT / program), *options]


def environment(devices: int, cache: pathlib.Path) -> dict[str, str]:
    numbers = {"JAX_NUM_CPU_DEVICES": str(devices), "COLDDIFF_CACHE": str(cache)}
    return os.environ | numbers


def run(
    command: str, cwd: pathlib.Path, devices: int = 1
) -> subprocess.CompletedProcess:
    """Runs a program of the project in another folder, with that many CPU devices."""
    return subprocess.run(
        [sys.executable, *arguments_of(command)],
        cwd=cwd,
        env=environment(devices, cwd / "cache"),
        capture_output=True,
        text=True,
    )


def train_classifier(cache: pathlib.Path) -> None:
    """Puts a classifier where evaluate.py looks for one before it trains its own."""
    config = digits_blur.get_config("smoke")
    preprocessing, _ = split_preprocessing(config.data.to_dict())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("colddiff_jax.feature_nets.classifier._EPOCHS", 0)
        patch.setattr("colddiff_jax.feature_nets.classifier._MIN_STEPS", 60)
        classifier(digits(labels=True), preprocessing, cache=str(cache))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the smoke run was trained."""
    folder = tmp_path_factory.mktemp("programs")
    done = run(TRAIN, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    done = run(TRAIN_BOTH, folder)
    assert done.returncode == 0, done.stderr
    train_classifier(folder / "cache")
    (folder / "empty_run").mkdir()
    config = (folder / "runs" / "digits_blur-smoke" / "config.json").read_text()
    (folder / "empty_run" / "config.json").write_text(config)
    images = np.zeros((9, 8, 8, 3), np.uint8)
    np.savez(folder / "empty.npz", train_images=images[:0], test_images=images)
    np.savez(folder / "shape.npz", train_images=images[0, 0], test_images=images)
    return folder


def test_train_defaults_to_a_run_folder_of_its_name_and_resumes(folder):
    workdir = folder / "runs" / "digits_blur-smoke"
    assert (workdir / "grids" / "step_00000006.png").is_file()
    done = run(f"{TRAIN} --config.training.num_steps=8", folder)
    assert done.returncode == 0, done.stderr
    assert "resuming at step 6" in done.stdout and "step 8/8" in done.stdout


def test_sample_writes_a_grid_arrays_a_strip_and_an_animation(folder):
    workdir = "--workdir=runs/digits_blur-smoke"
    done = run(
        f"sample.py {workdir} --sampler=alg1 --num_images=3 --out=out --arrays "
        "--trajectory --gif",
        folder,
    )
    assert done.returncode == 0, done.stderr
    written = done.stdout.split()
    assert [pathlib.Path(path).suffix for path in written] == [
        ".png",
        ".npz",
        ".png",
        ".gif",
    ]
    with np.load(folder / written[1]) as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == dict.fromkeys(
            ("clean", "degraded", "alg1"), (3, 16, 16, 1)
        )
    with Image.open(folder / written[3]) as gif:
        assert gif.n_frames == 21
    done = run(f"sample.py {workdir} --sampler=direct", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / done.stdout.strip()).is_file()


def test_sample_restores_the_same_in_batches_on_several_devices(folder):
    command = f"{SAMPLE} --sampler=heun --steps=3 --spacing=change --start=12"
    command += " --num_images=10 --arrays"
    arrays = []
    for devices, options in ((1, "--out=one"), (4, "--batch_size=2 --out=four")):
        done = run(f"{command} {options}", folder, devices)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""  # No progress bar in a file.
        path = done.stdout.split()[1]
        assert pathlib.Path(path).name.startswith("heun_3_by_change_from_12_step_")
        arrays.append(dict(np.load(folder / path)))
    one, four = arrays
    assert one["heun"].shape == (10, 16, 16, 1)
    for name in one:
        np.testing.assert_allclose(one[name], four[name], atol=1e-5)
    done = run(f"{SAMPLE} --steps=3 --spacing=log --gif --out=log", folder)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / done.stdout.split()[1]) as gif:
        assert gif.n_frames == 4


def test_sample_restores_by_labels_and_from_endpoints(folder):
    found = {}
    for options in ("", "--endpoint=estimated", "--label=3 --guidance=2.5"):
        command = f"{SAMPLE_BOTH} {options} --num_images=3 --arrays --steps=2"
        done = run(f"{command} --spacing=change", folder)
        assert done.returncode == 0, done.stderr
        path = done.stdout.split()[1]
        with np.load(folder / path) as arrays:
            found[path.removeprefix("both/samples/")] = arrays["alg2"]
    assert list(found) == [
        "alg2_2_by_change_step_00000001.npz",
        "alg2_2_by_change_estimated_step_00000001.npz",
        "alg2_2_by_change_label_3_guidance_2.5_step_00000001.npz",
    ]
    plain, *others = found.values()
    for other in others:
        assert np.isfinite(other).all() and np.abs(other - plain).max() > 1e-5


def test_evaluate_writes_its_scores_and_the_same_twice(folder):
    command = f"{EVALUATE} --num_images=50 --save_references=references"
    first = run(f"{command} --out=scores", folder)
    second = run(f"{command} --out=again", folder)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stderr == second.stderr == ""
    assert "training a classifier" not in first.stdout  # There is one.
    found, again = (
        json.loads((folder / out / "results.json").read_text())
        for out in ("scores", "again")
    )
    assert found.pop("seconds") > 0 and again.pop("seconds") > 0
    assert "--num_images=50" in found.pop("command") != again.pop("command")
    assert found == again
    assert found["settings"]["data"]["count"] == 50
    assert list(found["pixels"]) == ["degraded", "direct", "alg1", "alg2"]
    assert list(found["distances"]) == ["classifier"]
    table = (folder / "scores" / "results.md").read_text()
    assert table in first.stdout.replace("\nreferences", "\n")
    rmse = found["pixels"]["direct"]["rmse"]
    assert f"| direct | {rmse:.3f} |" in table and "Frechet, classifier" in table
    names = {"results.json", "results.md", "histograms.png"}
    names |= {"best.png", "median.png", "worst.png"}
    assert {path.name for path in (folder / "scores").iterdir()} == names


def test_evaluate_scores_by_samplers_seeds_faults_and_references(folder):
    done = run(
        f"{EVALUATE} --num_images=20 --samplers=direct,heun:3 --seeds=0,1 "
        f"--protocol=values_not_clipped --references={REFERENCE} --out=more",
        folder,
        4,
    )
    # The reference is of clipped values.
    assert "protocol.values_not_clipped is" in done.stderr
    done = run(
        f"{EVALUATE} --num_images=20 --samplers=direct,heun:3 --seeds=0,1 "
        f"--protocol=first_image_skipped --references={REFERENCE} --out=more",
        folder,
        4,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "more" / "results.json").read_text())
    assert results["settings"]["seed"] == [0, 1]
    assert results["settings"]["faults"] == ["first_image_skipped"]
    assert list(results["pixels"]) == ["degraded", "direct", "heun:3"]
    assert any(note.startswith("count is 50") for note in results["notes"])


def test_evaluate_repeats_the_published_protocol(folder):
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
    assert done.stdout.startswith("given/digits.safetensors: step ")
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


BAD = {
    f"{TRAIN} --config.nope=1": "no field 'nope' (--config.nope=1)",
    f"{TRAIN} --config.model.chanels=1": "no field 'chanels'",
    f"{TRAIN} --config.seed=one": "invalid literal for int()",
    f"{TRAIN} --config.model.name=resnet": "model.name must be one of",
    f"{TRAIN} --config.data.source=web": "data.source must be one of",
    f"{TRAIN} --nope": "Unknown command line flag 'nope'",
    f"{TRAIN} extra": "unexpected argument 'extra'",
    "train.py": "--config is missing",
    "train.py --config=configs/none.py": "none.py",
    "train.py --config=configs/mnist_blur.py:nope": "no variant 'nope'",
    "train.py --config=configs/mnist_blur.py --config.data.data_dir=nowhere": (
        "'mnist' is not prepared in"
    ),
    f"{TRAIN} --config.data.source=npz": "data.path is empty",
    f"{TRAIN} --config.data.source=npz --config.data.path=no.npz": "no file 'no.npz'",
    f"{TRAIN} --config.data.source=npz --config.data.path=empty.npz": (
        "train_images is empty, shape (0, 8, 8, 3)"
    ),
    f"{TRAIN} --config.data.source=npz --config.data.path=shape.npz": (
        "must have shape [N, H, W] or [N, H, W, C], got (8, 3)"
    ),
    f"{TRAIN} --config.data.image_size=18 --config.data.resize_to=18": (
        "image sides must be divisible by 8"
    ),
    f"{TRAIN} --config.data.image_size=8 --config.data.resize_to=0": (
        "data.image_size must be at least 11, the window of SSIM"
    ),
    f"{TRAIN} --config.optimizer.decay_steps=3": (
        "the learning rate is 0 from optimizer.decay_steps = 3 on, before"
    ),
    f"{TRAIN} --config.training.batch_size=6": (
        "training.batch_size must be a positive multiple of the 4 devices, got 6"
    ),
    "sample.py": "--workdir is missing",
    "sample.py --workdir=nowhere": "no run folder 'nowhere'",
    "sample.py --workdir=empty_run": "'empty_run' has no checkpoint yet",
    f"{SAMPLE} --num_images=298": "at most 297, got 298",
    f"{SAMPLE} --checkpoint=5": "no checkpoint of step 5",
    f"{SAMPLE} --checkpoint=new": "latest, best or the",
    f"{SAMPLE} --sampler=alg3": "value should be one of",
    f"{SAMPLE} --sampler=direct --gif": "no trajectory; leave --gif out",
    f"{SAMPLE} --sampler=direct --steps=2": "with no steps and no trajectory",
    f"{SAMPLE} --sampler=ddim": "needs a run that was trained with gaussian_noise",
    f"{SAMPLE} --sampler=direct --endpoint=fixed": "--endpoint has no effect with",
    f"{SAMPLE} --out=shape.npz/out": "cannot write to shape.npz",
    f"{SAMPLE} --out=shape.npz": "--out must be a folder, and 'shape.npz' is a file",
    f"{SAMPLE} --endpoint=estimated": "degradation is a Separable",
    f"{SAMPLE} --steps=21": "--steps must be at most 20, got 21",
    f"{SAMPLE} --label=3": "--label needs a run that was trained with classes",
    f"{SAMPLE} --guidance=nan": "--guidance must be a finite number, such as 2",
    f"{SAMPLE} --label=1 --guidance=0": "--guidance=0 ignores labels; leave --label",
    f"{SAMPLE_BOTH} --label=10": "own or a class in 0..9, got '10'",
    f"{SAMPLE_BOTH} --sampler=ddim": "a run that was trained with gaussian_noise",
    f"{SAMPLE} --start=21": "--start must lie in 1..20",
    f"{SAMPLE} --start=5 --steps=6": "--steps must be at most 5, got 6",
    f"{SAMPLE} --spacing=log": "say how many with --steps",
    f"{SAMPLE} --eta=0.5": "--eta belongs to --sampler=ddim",
    "evaluate.py --workdir=nowhere": "no run folder 'nowhere'",
    f"{EVALUATE} --num_images=298": "num_images must lie in 1..297",
    f"{EVALUATE} --out=shape.npz": "shape.npz: File exists; name a folder, not a file",
    f"{EVALUATE} --num_images=3": "at least 5 images, got 3",
    f"{EVALUATE} --samplers=alg2:21": "must lie in 1..20, those of the degradation",
    f"{EVALUATE} --features=vgg": "files of weights (.npz or .pth)",
    f"{EVALUATE} --features=inception": "pt_inception-2015-12-05-6726825d.pth",
    f"{EVALUATE} --features=shape.npz": "shape.npz",
    f"{EVALUATE} --protocol=unsound": "got 'unsound'",
    f"{EVALUATE} --seeds=-1": "--seeds must be integers from 0 on, got '-1'",
    f"{EVALUATE} --references=shape.npz": "shape.npz",
    f"{EVALUATE} --folder=nowhere": "no folder 'nowhere'",
    f"{EVALUATE} --folder=. --split=train": "--split and --folder name two sets",
    f"{EVALUATE} --batch_size=6": "batch_size must be a positive multiple of the 4",
    f"{EVALUATE} --features=none --save_references=references": (
        "--save_references saves what feature networks see; name one"
    ),
    EXPORT: "--out is missing",
    f"{EXPORT} --out=runs": "--out must name a file, and 'runs' is a folder",
    f"{EXPORT} --out=model": "--out must end in .safetensors, got 'model'",
    f"{EXPORT} --out=shape.npz/model.safetensors": "cannot write to",
    "evaluate.py --workdir=shape.npz": "'shape.npz' is not a model file",
}


@pytest.fixture(scope="module")
def complaints(folder):
    """By bad command, the exit status and what is written to stderr."""

    def run_all(commands: list[str]) -> dict[str, tuple[int, str]]:
        lines = [json.dumps(arguments_of(command)) for command in commands]
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "forking.py")],
            cwd=folder,
            env=environment(4, folder / "unused"),
            input="\n".join(lines),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answers = map(json.loads, done.stdout.splitlines())
        return dict(zip(commands, answers, strict=True))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        one, other = pool.map(run_all, (list(BAD)[::2], list(BAD)[1::2]))
    return one | other


@pytest.mark.parametrize("command", BAD)
def test_bad_input_ends_in_one_clear_line_and_status_1(complaints, command):
    status, said = complaints[command]
    assert status == 1, said
    (line,) = said.splitlines()
    program = command.split()[0].replace("-m", "export.py")
    assert line.startswith(f"{program}: error: "), line
    assert BAD[command] in line


def test_bad_input_is_refused_before_a_run_folder_is_made_or_a_classifier_trained(
    complaints, folder
):
    assert complaints and not (folder / "unused").exists()
    assert {path.name for path in (folder / "runs").iterdir()} == {"digits_blur-smoke"}
