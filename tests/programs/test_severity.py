"""The program that fits an estimate of the severity, as users run it."""

import re
import shutil

import numpy as np
from PIL import Image

import colddiff_jax as cd
from tests.programs.running import run, run_failing


def test_it_fits_prints_the_error_and_sample_starts_at_the_estimate(folder):
    shutil.copytree(folder / "runs" / "digits_blur-smoke", folder / "estimating")
    command = "-m colddiff_jax.cli.severity --workdir=estimating --num_images=64"
    done = run(command, folder)
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"to 64 images; on 64 test images, the mean error is ([\d.]+)% of T = 20",
        done.stdout,
    )
    assert found and float(found[1]) < 15
    restorer = cd.load(folder / "estimating")
    digits = cd.to_uint8(np.tanh(np.random.default_rng(0).normal(size=(16, 16, 1))))
    degraded = restorer.degrade(digits, 5)
    Image.fromarray(degraded[..., 0]).save(folder / "degraded.png")
    (t,) = restorer.estimate_step(degraded)
    done = run(
        "sample.py --workdir=estimating --photo=degraded.png --start=auto", folder
    )
    assert done.returncode == 0, done.stderr
    restored = np.asarray(Image.open(folder / done.stdout.strip()))
    np.testing.assert_array_equal(restored, restorer.restore(degraded, t)[..., 0])


def test_anything_but_a_run_folder_ends_in_one_line(folder):
    command = "-m colddiff_jax.cli.severity --workdir=shape.npz"
    status, stderr = run_failing([command], folder)[command]
    assert status == 1
    assert stderr.endswith("error: --workdir must be a run folder, got 'shape.npz'\n")
