"""Classes by their names, from the folders to a run and an exported file."""

import os

import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.labels import parse_label
from colddiff_jax.restoration.sample_run import SampleOptions, sample_run
from colddiff_jax.training import train_and_evaluate
from configs import digits_blur


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of one step on two folders of images, siamese and tabby."""
    folder = tmp_path_factory.mktemp("cats")
    rng = np.random.default_rng(0)
    for name in ("tabby", "siamese"):
        for split, count in (("train", 8), ("test", 4)):
            (folder / "cats" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (16, 16), np.uint8)
                path = folder / "cats" / split / name / f"{i}.png"
                Image.fromarray(pixels).save(path)
    config = digits_blur.get_config("smoke")
    config.data.update({"source": "folder", "path": str(folder / "cats")})
    config.data.channels = 1
    config.model.update({"channel_multipliers": (1,), "num_classes": 3})
    config.training.update({"num_steps": 1, "batch_size": 4})
    config.evaluation.update({"num_images": 4, "batch_size": 4})
    train_and_evaluate(config, str(folder / "run"))
    return str(folder / "run")


def test_names_are_kept_with_the_run_and_the_export(workdir, tmp_path):
    path = str(tmp_path / "cats.safetensors")
    export_model(cd.load(workdir), path)
    for restorer in (cd.load(workdir), cd.load(path)):
        assert restorer.class_names == ("siamese", "tabby")
        labels = ["siamese", "tabby", "0", 1, "2", "own", None]
        found = [parse_label(label, restorer) for label in labels]
        assert found == [0, 1, 0, 1, 2, None, None]


def test_an_unknown_name_lists_the_known_ones(workdir):
    for label in ("persian", "3", "-1"):
        with pytest.raises(InputError, match=(
            rf"own or a class in 0\.\.2, or one of siamese, tabby; got '{label}'"
        )):  # fmt: skip
            parse_label(label, cd.load(workdir))


def test_names_count_before_numbers(workdir):
    restorer = cd.load(workdir)
    numbered = type(restorer)(
        restorer.model, restorer.params, 1, "", class_names=("1", "2")
    )
    assert [parse_label(label, numbered) for label in ("1", 2, "0")] == [0, 1, 0]


def test_a_model_without_classes_takes_no_label():
    with pytest.raises(InputError, match="`label` needs a conditional model"):
        parse_label("siamese", cd.load("digits-deblur"))


def test_images_are_sampled_by_name(workdir, tmp_path):
    options = SampleOptions("direct", label="tabby")
    (path,) = sample_run(workdir, options, out=str(tmp_path), num_images=2)
    assert os.path.basename(path) == "direct_label_tabby_2_images_step_00000001.png"
