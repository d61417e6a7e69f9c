"""Training on pairs: both halves see the same crop, window and flip."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import data
from colddiff_jax.data import Batch, ImageSplits, Preprocessing
from colddiff_jax.evaluation.evaluate_run import evaluate_run
from colddiff_jax.experiment.data import RunData
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.image_set import images_of_run, split_of
from colddiff_jax.restoration.sample_run import sample_run
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.batches import gather, open_batches
from colddiff_jax.training.optimizers import make_optimizer, warmup_ema
from colddiff_jax.training.state import create_state
from colddiff_jax.training.step import make_train_step
from colddiff_jax.training.task import build_model_and_task
from configs import photo_pairs
from tests.networks import tiny_unet

SIZE = 32


def noise(n, height=40, width=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, 1), np.uint8)


def make_task(tmp_path, *, resident_mb, num_workers=0, crop=False):
    """A task on noise; the degraded partners are its negatives."""
    clean = {"train_images": noise(8), "test_images": noise(4, seed=1)}
    for name, images in (("clean", clean), ("negative", _negatives(clean))):
        np.savez(tmp_path / f"{name}.npz", **images)
    config = photo_pairs.get_config("smoke")
    config.data.update({"image_size": SIZE, "resize_to": 0, "crop": crop})
    config.data.update({"source": "npz", "path": str(tmp_path / "clean.npz")})
    path = str(tmp_path / "negative.npz")
    config.endpoints.update({"source": "npz", "path": path})
    options = {"batch_size": 4, "resident_mb": resident_mb, "num_workers": num_workers}
    config.training.update(options)
    config.evaluation.num_images = 4
    return build_model_and_task(config)[1]


def _negatives(arrays):
    return {name: 255 - images for name, images in arrays.items()}


@pytest.mark.parametrize(
    ("crop", "resident_mb", "num_workers"),
    [(False, None, 0), (False, 0, 0), (True, None, 0), (True, 0, 0), (True, 0, 1)],
)
def test_batches_hold_partners(tmp_path, crop, resident_mb, num_workers):
    task = make_task(
        tmp_path, resident_mb=resident_mb, num_workers=num_workers, crop=crop
    )
    with open_batches(task, 3) as training:
        for _ in range(3):
            batch = jax.device_get(next(training.batches))
            if training.resident is not None:
                batch = gather(jax.device_get(training.resident), batch)
            assert len(np.unique(batch.images)) > 200
            np.testing.assert_array_equal(batch.endpoints, 255 - batch.images)


class _Sum:
    """A loss that is 0 if every endpoint is the negative of its image."""

    def losses(self, model, params, degrade, batch, keys):
        both = batch.images.astype(jnp.float32) + batch.endpoints - 255
        return jnp.abs(both).mean((1, 2, 3))


def test_only_partners_are_cropped_and_flipped_alike():
    images = noise(8)
    preprocessing = Preprocessing(image_size=SIZE, pad=0, flip=True)
    state = create_state({"w": jnp.zeros(1)}, make_optimizer())
    key = jax.random.key(0)
    for paired in (True, False):
        step = make_train_step(
            tiny_unet(),
            make_optimizer(),
            warmup_ema(decay=0.9),
            _Sum(),
            preprocessing,
            paired=paired,
        )
        batch = Batch(jnp.asarray(images), None, jnp.asarray(255 - images))
        loss = step(state, batch, None, jax.random.clone(key))[1]["loss"]
        assert (loss == 0) if paired else (loss > 10)


@pytest.mark.parametrize("crop", [True, False])
def test_a_test_image_comes_with_its_partner_cropped_alike(crop):
    splits = ImageSplits(noise(6), noise(5, seed=1))
    negatives = ImageSplits(255 - splits.train, 255 - splits.test)
    preprocessing = Preprocessing(image_size=SIZE)
    images = split_of(RunData(splits, negatives, True), preprocessing, "test")
    batch = images.load([4, 1], crop=crop)
    assert batch.images.shape[1] == (SIZE if crop else 40)
    np.testing.assert_array_equal(batch.endpoints, 255 - batch.images)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of six steps, on two folders, whose network sees the endpoint."""
    root = tmp_path_factory.mktemp("pairs")
    fine, coarse = data.digits(), data.coarse_digits()
    for name, splits in (("clean", fine), ("degraded", coarse)):
        for split in ("train", "test"):
            folder = root / name / split
            folder.mkdir(parents=True)
            for i in range(12):
                image = getattr(splits, split)[i].repeat(2, 0).repeat(2, 1)
                extension = "png" if name == "clean" else "bmp"
                Image.fromarray(image[..., 0]).save(folder / f"{i}.{extension}")
    config = photo_pairs.get_config("smoke")
    size = {"image_size": 16, "resize_to": 0, "channels": 1}
    config.data.update({"source": "folder", "path": str(root / "clean"), **size})
    path = str(root / "degraded")
    config.endpoints.update({"source": "folder", "path": path, "channels": 1})
    config.data.flip = True  # The error of a mirrored pair is the same.
    config.model.see_endpoint = True
    workdir = str(root / "run")
    train_and_evaluate(config, workdir)
    return workdir


def test_evaluations_restore_the_partners(run):
    lines = (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()
    scores = [line for line in map(json.loads, lines) if "rmse_degraded" in line]
    batch = images_of_run(cd.load(run)).load(range(8))
    errors = (batch.images.astype(float) - batch.endpoints) / 255
    expected = np.sqrt(np.mean(errors**2))
    assert expected > 0.05
    for line in scores:
        np.testing.assert_allclose(line["rmse_degraded"], expected, rtol=1e-5)
    losses = [line["test_loss"] for line in scores]
    assert losses[-1] < losses[0]
    found = evaluate_run(run, num_images=8, batch_size=8, features=["none"])
    np.testing.assert_allclose(found["pixels"]["degraded"]["rmse"], expected, rtol=1e-5)
    augmented = evaluate_run(
        run,
        out=f"{run}/augmented",
        num_images=8,
        batch_size=8,
        features=["none"],
        protocol="test_images_augmented",
    )
    np.testing.assert_allclose(  # Half of all pairs are mirrored.
        augmented["pixels"]["degraded"]["rmse"], expected, rtol=1e-5
    )


def test_samples_begin_with_the_partners(run, capsys):
    sample_run(run, num_images=8, arrays=True)
    (path,) = (pathlib.Path(run) / "samples").glob("*.npz")
    with np.load(path) as arrays:
        batch = images_of_run(cd.load(run)).load(range(8))
        found = {name: arrays[name] for name in arrays.files}
    np.testing.assert_array_equal(cd.to_uint8(found["degraded"]), batch.endpoints)


def test_an_exported_file_restores_like_the_run(run, tmp_path):
    path = str(tmp_path / "model.safetensors")
    export_model(cd.load(run), path)
    y = noise(2, 24, 20)
    np.testing.assert_array_equal(cd.load(path).restore(y), cd.load(run).restore(y))
    assert not cd.load(path).prior_arrays  # No image of the training is passed on.


def test_a_folder_without_partners_is_not_scored(run):
    with pytest.raises(cd.InputError, match="a folder of images has no degraded part"):
        evaluate_run(run, folder=run)
