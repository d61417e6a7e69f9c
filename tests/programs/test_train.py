"""train.py as users run it."""

import shutil

import pytest

from tests.programs.running import TRAIN, check_failure, run, run_failing


def test_the_run_folder_has_the_name_of_the_configuration_and_resumes(folder, tmp_path):
    shutil.copytree(folder / "runs", tmp_path / "runs")
    workdir = tmp_path / "runs" / "digits_blur-smoke"
    assert (workdir / "grids" / "step_00000006.png").is_file()
    done = run(f"{TRAIN} --config.training.num_steps=8", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming at step 6" in done.stdout and "step 8/8" in done.stdout


def test_the_configurations_are_listed(tmp_path):
    done = run("train.py --list", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\ndigits_blur :smoke\n    Deblurring scikit-learn's digits" in done.stdout
    assert not list(tmp_path.glob("runs"))


BAD = {
    f"{TRAIN} --config.nope=1": "no field 'nope'; known: ",
    f"{TRAIN} --config.model.chanels=1": "no field 'model.chanels'; did you mean",
    f"{TRAIN} --config.seed=one": "--config.seed must be an integer, got 'one'",
    f"{TRAIN} --config.model.name=resnet": "--config.model.name must be one of",
    f"{TRAIN} --config.data.source=web": "--config.data.source must be one of",
    f"{TRAIN} --nope": "Unknown command line flag 'nope'",
    f"{TRAIN} extra": "unexpected argument 'extra'",
    "train.py": "--config is missing",
    "train.py --config=configs/none.py": "none.py",
    "train.py --config=configs/mnist_blur.py:nope": "no variant 'nope'",
    "train.py --config=configs/mnist_blur.py --config.data.data_dir=nowhere": (
        "'mnist' is not prepared in"
    ),
    f"{TRAIN} --config.data.source=npz": "--config.data.path is empty",
    f"{TRAIN} --config.data.source=npz --config.data.path=no.npz": "no file 'no.npz'",
    f"{TRAIN} --config.data.source=npz --config.data.path=empty.npz": (
        "train_images is empty, shape (0, 8, 8, 3)"
    ),
    f"{TRAIN} --config.data.source=npz --config.data.path=shape.npz": (
        "must have shape [N, H, W] or [N, H, W, C], got (8, 3)"
    ),
    f"{TRAIN} --config.data.image_size=18 --config.data.resize_to=18": (
        "image sides must be divisible by 4"
    ),
    f"{TRAIN} --config.data.image_size=8 --config.data.resize_to=0": (
        "--config.data.image_size must be at least 11, the window of SSIM"
    ),
    f"{TRAIN} --config.optimizer.decay_steps=3": (
        "the learning rate is 0 from --config.optimizer.decay_steps = 3 on, before "
        "--config.training.num_steps = 6"
    ),
    f"{TRAIN} --config.training.batch_size=6": (
        "--config.training.batch_size must be a positive multiple of the 4 devices, "
        "got 6"
    ),
    f"{TRAIN} --config.evaluation.batch_size=6": (
        "--config.evaluation.batch_size must be a positive multiple of the 4 devices"
    ),
    f"{TRAIN} --config.training.log_every=0": (
        "--config.training.log_every must be a positive integer, got 0"
    ),
    f"{TRAIN} --config.seed=7": (
        "(seed: 0 -> 7); choose another --workdir, remove that folder, or continue "
        "with the new one by --force"
    ),
}


@pytest.fixture(scope="module")
def answers(folder):
    """By bad command, the exit status and the text written to stderr."""
    return run_failing(BAD, folder)


@pytest.mark.parametrize("command", BAD)
def test_bad_input_ends_in_one_clear_line_and_status_1(answers, command):
    check_failure(command, answers[command], BAD[command])


def test_bad_input_is_detected_before_a_run_folder_is_created(answers, folder):
    assert len(answers) == len(BAD)
    assert {path.name for path in (folder / "runs").iterdir()} == {"digits_blur-smoke"}
