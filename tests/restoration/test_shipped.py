"""The models that come with the package."""

import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.data import digits

FOLDER = pathlib.Path(cd.__file__).parent / "shipped"


def test_the_models_are_listed():
    assert cd.load() == (
        "cifar-colorize",
        "cifar-desnow",
        "digits-deblur",
        "digits-generate",
        "mnist-deblur",
        "mnist-inpaint",
        "photo-deblur",
        "photo-inpaint",
        "photo-unjpeg",
        "photo-upscale",
    )
    with pytest.raises(InputError, match="one of the models cifar-colorize, cifar-d"):
        cd.load("mnist-sharpen")


def test_all_models_together_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 40e6


@pytest.mark.parametrize("name", cd.load())
def test_every_model_is_small_has_a_card_and_restores(name):
    assert os.path.getsize(FOLDER / f"{name}.safetensors") < 6e6
    card = (FOLDER / f"{name}.md").read_text()
    assert card.startswith(f"# {name}\n")
    for heading in ("Data", "Command", "Scores", "Limits"):
        assert f"**{heading}.**" in card
    restorer = cd.load(name)
    blank = np.full(restorer.image_shape, 255, np.uint8)
    key = jax.random.key(0)
    degraded = restorer.degrade(blank, key=key)
    assert restorer.restore(degraded, sampler="alg2", steps=2, key=key).mean() > 128


def test_digits_are_generated():
    restorer = cd.load("digits-generate")
    images = restorer.generate(8, jax.random.key(0))
    assert images.shape == (8, 16, 16, 1)
    # Like digits: dark, with bright strokes, and none like another.
    assert -0.9 < images.mean() < 0 and images.max() > 0.5
    apart = np.sqrt(np.square(images[:, None] - images[None]).mean(axis=(2, 3, 4)))
    assert apart[~np.eye(8, dtype=bool)].min() > 0.2


def test_digits_of_other_writers_are_restored():
    restorer = cd.load("digits-deblur")
    prepare = restorer.model.preprocessing.test
    clean = np.stack([prepare(image) for image in digits().test[:32]])
    x_0 = np.asarray(cd.to_float(clean))
    x_T = restorer.degrade(x_0)
    errors = {
        name: float(np.sqrt(np.square(x - x_0).mean())) / 2
        for name, x in {
            "degraded": x_T,
            "direct": restorer.predict(x_T),
            "Algorithm 2": restorer.restore(x_T),
            "consistent": restorer.restore(x_T, consistent=True),
        }.items()
    }
    assert errors["degraded"] > 0.2
    assert max(errors["direct"], errors["Algorithm 2"]) < 0.06
    assert errors["consistent"] < errors["Algorithm 2"]


def test_a_photograph_is_restored_in_every_way():
    clean = load_sample_image("flower.jpg")[100:228, 250:442]

    def error(image):
        return float(np.sqrt(np.mean((np.asarray(image, float) - clean) ** 2)))

    for name, t in (("deblur", 4), ("deblur", 8), ("upscale", 2), ("unjpeg", 7)):
        restorer = cd.load(f"photo-{name}")
        degraded = restorer.degrade(clean, t)
        assert error(restorer.restore(degraded, t)) < 0.9 * error(degraded), name
    holes = np.asarray(cd.holes((128, 192), 1).bind(jax.random.key(0), (1,)).depths)
    mask = holes[0, ..., 0] > 0
    restored = cd.load("photo-inpaint").restore(clean, mask=mask)
    assert error(restored) < 0.45 * error(np.where(mask[..., None], 128, clean))


def test_the_blur_of_a_photograph_is_estimated():
    clean = load_sample_image("china.jpg")
    restorer = cd.load("photo-deblur")
    for t in (2, 5, 8):
        assert abs(restorer.estimate_step(restorer.degrade(clean, t))[0] - t) <= 1


def test_loading_imports_no_data_library_and_needs_no_plain_path(tmp_path):
    folder = tmp_path / "Modelle für später"
    folder.mkdir()
    shutil.copy(FOLDER / "digits-deblur.safetensors", folder / "ein Modell.safetensors")
    folder.chmod(0o555)
    code = (
        "import sys, colddiff_jax\n"
        f"print(colddiff_jax.load({str(folder / 'ein Modell.safetensors')!r}))\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    description, loaded = done.stdout.splitlines()
    assert description.startswith("Restorer(gaussian_blur, T = 20")
    heavy = {"tensorflow", "tensorflow_datasets", "grain", "orbax", "sklearn"}
    assert not heavy & {name.partition(".")[0] for name in loaded.split()}
