"""Restores test images with a trained run.

python sample.py --workdir=runs/digits_blur
python sample.py --workdir=runs/digits_blur --algorithm=alg1 --num_images=4
python sample.py --workdir=runs/digits_blur --arrays --trajectory --gif

Writes a grid (clean, degraded, restored) to samples/ in the run folder, or to --out;
with --arrays also the images as npz, with --trajectory a strip and with --gif an
animation of the way from the degraded to the restored image.
"""

import functools
import os

import jax
import numpy as np
from absl import flags

from colddiff_jax import figures, images, programs, sampling
from colddiff_jax.data import load_test_images
from colddiff_jax.errors import InputError
from colddiff_jax.runs import Run, load_run
from colddiff_jax.training.step import stream
from colddiff_jax.writers import save_npz

_WORKDIR = flags.DEFINE_string("workdir", "", "run folder of train.py")
_OUT = flags.DEFINE_string("out", "", "folder to write to; default WORKDIR/samples")
_ALGORITHM = flags.DEFINE_enum(
    "algorithm", "alg2", ["direct", "alg1", "alg2"], "how to restore"
)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 8, "test images to restore", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "of the random part of the degradation")
_ARRAYS = flags.DEFINE_bool("arrays", False, "also write the images as npz")
_TRAJECTORY = flags.DEFINE_bool(
    "trajectory", False, "also write a strip of the way back"
)
_GIF = flags.DEFINE_bool("gif", False, "also write an animation of the way back")


def main(argv: list[str]) -> None:
    """Samples by the flags."""
    if len(argv) > 1:
        raise InputError(f"unexpected argument {argv[1]!r}; options begin with --")
    if not _WORKDIR.value:
        raise InputError("--workdir is missing; name the run folder of train.py")
    if _ALGORITHM.value == "direct" and (_TRAJECTORY.value or _GIF.value):
        raise InputError("--algorithm=direct has no trajectory; use alg1 or alg2")
    run = load_run(_WORKDIR.value, _CHECKPOINT.value)
    clean, degraded, result = _restore(run)
    out = _OUT.value or os.path.join(_WORKDIR.value, "samples")
    os.makedirs(out, exist_ok=True)
    stem = os.path.join(out, f"{_ALGORITHM.value}_step_{run.step:08d}")
    rows = {"clean": clean, "degraded": degraded, _ALGORITHM.value: result.x_0}
    figures.save_png(f"{stem}.png", figures.grid(rows))
    print(f"{stem}.png")
    if _ARRAYS.value:
        save_npz(f"{stem}.npz", **rows)
        print(f"{stem}.npz")
    if result.trajectory is not None:
        _write_way_back(stem, clean, result.trajectory)


def _restore(run: Run) -> tuple[np.ndarray, np.ndarray, sampling.SampleResult]:
    """The clean, degraded and restored test images, float [N, H, W, C]."""
    experiment = run.experiment
    available = len(experiment.splits.test)
    if _NUM_IMAGES.value > available:
        raise InputError(
            f"--num_images must be at most {available}, got {_NUM_IMAGES.value}"
        )
    samplers = {
        "direct": sampling.restore_direct,
        "alg1": functools.partial(
            sampling.sample_alg1, return_trajectory=_TRAJECTORY.value or _GIF.value
        ),
        "alg2": functools.partial(
            sampling.sample_alg2, return_trajectory=_TRAJECTORY.value or _GIF.value
        ),
    }
    batch = load_test_images(
        experiment.splits.test, experiment.preprocessing, 0, _NUM_IMAGES.value
    )
    x_0 = images.to_float(batch)
    degrade = experiment.degrade.bind(stream(_SEED.value, "sample"), x_0.shape)
    x_T = degrade(x_0, degrade.num_steps)
    restore_fn = jax.tree_util.Partial(experiment.model.apply, {"params": run.params})
    result = jax.jit(samplers[_ALGORITHM.value])(restore_fn, degrade, x_T)
    return np.asarray(x_0), np.asarray(x_T), jax.device_get(result)


def _write_way_back(stem: str, clean: np.ndarray, trajectory: np.ndarray) -> None:
    """A strip of about ten moments, and an animation of all of them."""
    if _TRAJECTORY.value:
        last = len(trajectory) - 1
        moments = np.unique(np.linspace(0, last, min(10, last + 1)).round().astype(int))
        rows = {f"t = {last - i}": trajectory[i] for i in moments}
        figures.save_png(
            f"{stem}_trajectory.png", figures.grid(rows | {"clean": clean})
        )
        print(f"{stem}_trajectory.png")
    if _GIF.value:
        frames = [figures.grid({"": x_t, " ": clean}) for x_t in trajectory]
        figures.save_gif(f"{stem}.gif", frames)
        print(f"{stem}.gif")


if __name__ == "__main__":
    programs.run(main)
