"""Fits an estimate of how degraded an image is, and tells its error.

    python -m colddiff_jax.cli.severity --workdir=runs/photo_deblur

It is fitted to training images of the run, tried on its test images, and kept in the
run folder and in files exported from it. `sample.py --photo --start=auto` and
`Restorer.restore(images, "auto")` then find the step of a photograph by themselves.
"""

import jax
import numpy as np
from absl import flags

from colddiff_jax import prng
from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.data import Preprocessing
from colddiff_jax.degradations.base import takes_images
from colddiff_jax.experiment.run_folder import is_run_folder
from colddiff_jax.io.images import to_float
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.severity import (
    degraded_features,
    fit_severity,
    save_severity,
)
from colddiff_jax.restoration.sizes import degradation_at

_SIDE = 256  # The side of windows of photographs, if none is smaller.
_WINDOWS = 4  # Of every photograph.


def main() -> None:
    """Fits by the flags."""
    values = flags.FLAGS
    if not is_run_folder(values.workdir):
        raise InputError(f"`workdir` must be a run folder, got {values.workdir!r}")
    restorer = load_run(values.workdir)
    if takes_images(restorer.degradation):
        raise InputError(
            "an estimate of the severity is not possible for a degradation that blends "
            "images with others"
        )
    seed = restorer.model.config["seed"]
    train, test = _load(restorer, values.num_images, np.random.default_rng(seed))
    degrade = degradation_at(restorer.model, (train.shape[1], train.shape[2]))
    key = prng.stream(seed, "severity")
    estimator = fit_severity(degrade, train, key=jax.random.fold_in(key, 0))
    save_severity(estimator, values.workdir)
    found = degraded_features(degrade, test, key=jax.random.fold_in(key, 1))
    T = degrade.num_steps
    errors = estimator.from_features(found) - np.arange(1, T + 1)[:, None]
    off = np.abs(errors).mean(axis=1) / T
    what = "windows" if restorer.model.preprocessing.crop else "images"
    print(
        f"fitted to {len(train)} {what}; on {len(test)} test {what}, the mean error is "
        f"{off.mean():.1%} of T = {T}, and {off.max():.1%} at t = {off.argmax() + 1}"
    )


def _load(
    restorer: Restorer, num_images: int, rng: np.random.Generator
) -> list[jax.Array]:
    """Loads training and test images; of photographs, large windows at random."""
    sets = [images_of_run(restorer, split) for split in ("train", "test")]
    counts = [min(num_images, len(images.images)) for images in sets]
    paired = list(zip(sets, counts, strict=True))
    prepare = sets[0].preprocessing
    if not prepare.crop:
        return [to_float(images.load(range(count)).images) for images, count in paired]
    loaded = [
        [prepare.resize(images.images[i]) for i in range(count)]
        for images, count in paired
    ]
    least = min(min(photo.shape[:2]) for photos in loaded for photo in photos)
    window = Preprocessing(image_size=min(_SIDE, least), crop=True).window

    def windows(photos: list[np.ndarray]) -> np.ndarray:
        places = rng.random((len(photos), _WINDOWS, 2))
        return np.stack(
            [window(p, at) for p, row in zip(photos, places, strict=True) for at in row]
        )

    return [to_float(windows(photos)) for photos in loaded]


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "", "run folder of train.py")
    flags.DEFINE_integer("num_images", 256, "at most this many of each split", 2)
    program.run(main, required=("workdir",))
