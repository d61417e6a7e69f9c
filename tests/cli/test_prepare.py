"""Preparing TFDS sets; the real thing needs TensorFlow and runs where CI has it."""

import importlib.util

import pytest

from colddiff_jax import InputError
from colddiff_jax.cli import prepare


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed"
)
def test_preparing_without_tensorflow_names_the_extra():
    with pytest.raises(InputError, match=r"pip install 'colddiff-jax\[tfds-prepare\]'"):
        prepare.prepare("mnist")


def test_the_command_wants_one_name():
    with pytest.raises(InputError, match="name one data set"):
        prepare.main(["prepare.py"])
