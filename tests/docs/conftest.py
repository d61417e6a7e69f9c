"""Folders like a clone, with the files and the runs that pages name."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.training import get_config
from tests.conftest import ROOT
from tests.docs.blocks import all_blocks
from tests.programs.running import run_forked
from tests.restoration.runs import save_run

# Commands of the pages that run as they are typed, in this order. Those that train and
# evaluate run in tests/programs.
RUN = (
    "python sample.py --workdir=runs/digits_blur",
    "python -m colddiff_jax.cli.export --workdir=runs/digits_blur "
    "--out=digits.safetensors",
    "python -m colddiff_jax.cli.export --workdir=runs/digits_blur "
    "--out=digits.stablehlo --sampler=alg2 --steps=5",
    "python -m colddiff_jax.cli.severity --workdir=runs/photo_deblur-cpu",
    "python sample.py --workdir=photo-deblur --photo=blurry.jpg --start=auto",
    "python sample.py --workdir=photo-upscale --photo=small.png --enlarge",
    "python sample.py --workdir=photo-inpaint --photo=scratched.png "
    "--mask=scratches.png",
    "python sample.py --workdir=photo-unjpeg --photo=album --start=auto --out=restored",
)

SMALL = {"base_channels": 8, "channel_multipliers": (1,)}
SMALL_DIGITS = f"""
from configs import digits_blur


def get_config(variant=None):
    config = digits_blur.get_config("smoke")
    config.model.update({SMALL})
    return config
"""
SMALL_PHOTOS = f"""
from configs import photo_deblur


def get_config(variant=None):
    config = photo_deblur.get_config("smoke")
    config.data.source = "folder"
    config.evaluation.num_images = 4
    config.model.update({SMALL})
    return config
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the programs, and the files that pages say to save."""
    path = tmp_path_factory.mktemp("clone")
    for name in ("train.py", "sample.py", "evaluate.py", "configs", "benchmarks"):
        (path / name).symlink_to(ROOT / name)
    for block in all_blocks("python"):
        if name := re.match(r"# (\w+\.py)\n", block.text):
            (path / name[1]).write_text(block.text)
    return path


@pytest.fixture(scope="module")
def folder(clone: pathlib.Path) -> pathlib.Path:
    """The same with images and runs; tests must not change the files that are in it."""
    path = clone
    _save_images(path)
    (path / "runs").mkdir()
    (path / "small_photos.py").write_text(SMALL_PHOTOS)
    photos = get_config(str(path / "small_photos.py"))
    photos.data.path = str(path / "photos")
    save_run(photos, path / "runs" / "photo_deblur-cpu", {6: 1.0})
    (path / "small_digits.py").write_text(SMALL_DIGITS)
    digits = get_config(str(path / "small_digits.py"))
    save_run(digits, path / "runs" / "digits_blur", {6: 1.0})
    programs = [command.split()[1:] for command in RUN]
    answers = run_forked(programs, path, path / "cache")
    for command, (status, stderr) in zip(RUN, answers, strict=True):
        assert status == 0, f"{command}: {stderr}"
    return path


def _save_images(path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 16, 16, 1), np.uint8)
    np.savez(path / "images.npz", train_images=pixels[:32], test_images=pixels[32:])
    (path / "photos" / "train").mkdir(parents=True)
    (path / "photos" / "test").mkdir()
    for i in range(12):
        colours = rng.integers(0, 256, (9, 12, 3), np.uint8)
        photo = Image.fromarray(colours).resize((96, 72))
        photo.save(path / "photos" / ("train" if i < 8 else "test") / f"{i}.png")
    photo.save(path / "blurry.jpg")
    photo.save(path / "scratched.png")
    photo.convert("1").save(path / "scratches.png")
    photo.resize((24, 18)).save(path / "small.png")
    (path / "album").mkdir()
    photo.save(path / "album" / "photo.jpg", quality=30)
