"""A folder with trained runs and unusable files, for the tests of the programs."""

import fcntl
import os
import pathlib
import shutil

import numpy as np
import pytest

from colddiff_jax.data import digits
from colddiff_jax.experiment.builders import make_preprocessing
from colddiff_jax.feature_nets.classifier import classifier
from configs import digits_blur
from tests.programs.running import TRAIN, TRAIN_BOTH, run


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    """The folder; tests must not change the files that are in it."""
    own = tmp_path_factory.mktemp("programs") / "folder"
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _fill(own)
        return own
    # The first worker makes the folder, and all of them work on copies.
    shared = base.parent / "programs"
    with open(base.parent / "programs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            _fill(base / "filled")
            (base / "filled").rename(shared)
    shutil.copytree(shared, own)
    return own


def _fill(folder: pathlib.Path) -> None:
    folder.mkdir()
    done = run(TRAIN, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    done = run(TRAIN_BOTH, folder)
    assert done.returncode == 0, done.stderr
    _train_classifier(folder / "cache")
    (folder / "empty_run").mkdir()
    config = (folder / "runs" / "digits_blur-smoke" / "config.json").read_text()
    (folder / "empty_run" / "config.json").write_text(config)
    images = np.zeros((9, 8, 8, 3), np.uint8)
    np.savez(folder / "empty.npz", train_images=images[:0], test_images=images)
    np.savez(folder / "shape.npz", train_images=images[0, 0], test_images=images)


def _train_classifier(cache: pathlib.Path) -> None:
    """Puts a classifier where evaluate.py looks for one before it trains its own."""
    preprocessing = make_preprocessing(digits_blur.get_config("smoke").data.to_dict())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("colddiff_jax.feature_nets.classifier._EPOCHS", 0)
        patch.setattr("colddiff_jax.feature_nets.classifier._MIN_STEPS", 60)
        classifier(digits(labels=True), preprocessing, cache=str(cache))
