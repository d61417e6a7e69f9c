"""evaluate.py --generate, on a model of noise and on one without a prior."""

import json

import pytest

from tests.programs.running import EVALUATE, check_failure, run, run_failing

TRAIN_NOISE = (
    "train.py --config=configs/digits_blur.py:smoke --workdir=noise "
    "--config.degradation.name=gaussian_noise "
    "--config.degradation.alphas_cumprod.name=cosine "
    "--config.degradation.alphas_cumprod.num_steps=4 "
    "--config.model.channel_multipliers=(1,)"
)
NOISE = "evaluate.py --workdir=noise"


@pytest.fixture(scope="module")
def trained(folder):
    done = run(TRAIN_NOISE, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_scores_generated_images_and_writes_the_same_twice(trained):
    options = "--generate=70 --samplers=alg2,ddim:2 --seeds=0,1"
    done = run(f"{NOISE} {options}", trained)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()  # No bar in a file, but what is done.
    assert said[-1].endswith(" images") and "generating, alg2: 70 images" in said
    assert "training a classifier" not in done.stdout
    out = trained / "noise" / "generation"
    names = {"generation.json", "generation.md", "generated.png", "nearest.png"}
    assert {path.name for path in out.iterdir()} == names
    assert (out / "generation.md").read_text() in done.stdout
    first = json.loads((out / "generation.json").read_text())
    assert first["command"].endswith(f"--workdir=noise {options}")
    assert first["settings"]["data"]["count"] == 1500
    assert list(first["copies"]) == ["alg2", "ddim:2", "test images"]
    assert list(first["distances"]) == ["classifier"]
    scores = first["distances"]["classifier"]
    assert scores["test images"]["frechet"] < scores["alg2"]["frechet"]
    again = run(f"{NOISE} {options} --out=again --batch_size=64", trained, 4)
    assert again.returncode == 0, again.stderr
    second = json.loads((trained / "again" / "generation.json").read_text())
    assert second["copies"] == first["copies"]
    for name, expected in scores.items():
        found = second["distances"]["classifier"][name]
        assert found == pytest.approx(expected, rel=1e-3)


def test_statistics_of_the_training_images_are_saved_and_used(trained):
    options = "--generate=20 --samplers=direct --features=classifier"
    for more in (
        "--save_references=references --out=saving",
        "--references=references/digits_train_classifier.npz --out=using",
    ):
        done = run(f"{NOISE} {options} {more}", trained)
        assert done.returncode == 0, done.stderr
    saving, using = (
        json.loads((trained / out / "generation.json").read_text())
        for out in ("saving", "using")
    )
    assert using["distances"] == saving["distances"]
    assert not saving["settings"]["references"]
    assert list(using["settings"]["references"]) == ["classifier"]


BAD = {
    f"{EVALUATE} --generate=20 --features=none": "does not say where images begin",
    f"{EVALUATE} --generate=4": "--generate must be at least 5",
    f"{EVALUATE} --generate=20 --samplers=ddim": "ddim needs a model trained on",
    f"{EVALUATE} --generate=20 --out=shape.npz": "shape.npz: File exists; name a",
    f"{EVALUATE} --generate=20 --folder=.": "--folder has no effect with --generate",
    f"{EVALUATE} --generate=20 --protocol=sound": (
        "--protocol has no effect with --generate; leave it out"
    ),
    f"{EVALUATE} --generate=20 --num_images=1501": "--num_images must be at most 1500",
    f"{EVALUATE} --generate=20 --endpoint=estimated": "--endpoint estimated needs",
    f"{EVALUATE} --generate=20 --references=shape.npz": "shape.npz",
    f"{EVALUATE} --generate=20 --batch_size=6": "--batch_size must be a positive",
}


@pytest.fixture(scope="module")
def answers(folder):
    """By bad command, the exit status and the text written to stderr."""
    return run_failing(BAD, folder)


@pytest.mark.parametrize("command", BAD)
def test_bad_input_ends_in_one_clear_line_and_status_1(answers, command):
    check_failure(command, answers[command], BAD[command])
