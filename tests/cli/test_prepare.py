"""Preparing TFDS sets; a real preparation needs TensorFlow and runs in CI."""

import importlib.util
import subprocess
import sys

import pytest

from colddiff_jax import InputError
from colddiff_jax.cli import prepare
from tests.conftest import ROOT


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed"
)
def test_preparing_without_tensorflow_names_the_extra():
    with pytest.raises(InputError, match=r"pip install 'colddiff-jax\[tfds-prepare\]'"):
        prepare.prepare("mnist")


def test_a_missing_folder_of_original_files_raises_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"no folder '.*nope'; `manual_dir` must"):
        prepare.prepare("mnist", manual_dir=str(tmp_path / "nope"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "an argument is missing; --help shows the usage"),
        (["mnist", "cifar10"], "unexpected argument 'cifar10'; flags begin with --"),
    ],
)
def test_the_command_takes_one_name(arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "colddiff_jax.cli.prepare", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == f"prepare.py: error: {message}\n"
