"""Measures changes to Algorithm 2 that need no training.

    python -m benchmarks.sampling_levers runs/mnist_blur-cpu runs/mnist_mask-cpu

    increments c    x_s = x_t + c (D(x0_hat, s) - D(x0_hat, t))
    shift d         x0_hat = R(x_t, t + d), with t + d kept within 1..T
    equal change    steps after which a typical image has changed by as much

With c = 1 and d = 0 that is Algorithm 2; both take all T steps. For each run folder it
scores the test images by RMSE, SSIM and the Frechet distance on a feature network
(--features, as in evaluate.py), and writes
benchmarks/results/sampling_levers/NAME.json.
"""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks import timing
from colddiff_jax import metrics, sampling
from colddiff_jax.cli import program
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.set_features import SetFeatures
from colddiff_jax.io import images
from colddiff_jax.prng import indexed_keys, stream
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.sampling.trajectory import RestoreFn, StepInput, scan_trajectory

_NUM_IMAGES = flags.DEFINE_integer("num_images", 10_000, "test images to restore", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 250, "images at once", 1)
_FEATURES = flags.DEFINE_string("features", "classifier", "a feature network")

INCREMENTS = (0.9, 0.95, 1.0, 1.05, 1.1)
SHIFTS = (-2, -1, 1, 2)
CALLS = (2, 5, 10)


def levered(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: jax.Array,
    *,
    increments: float = 1.0,
    shift: int = 0,
    timesteps: np.ndarray | None = None,
) -> jax.Array:
    """Returns x_0 by Algorithm 2 with the levers of this page."""

    def shifted(x_t: jax.Array, t: jax.Array) -> jax.Array:
        return restore_fn(x_t, jnp.clip(t + shift, 1, degrade.num_steps))

    def step(inputs: StepInput, state: Any) -> tuple[jax.Array, Any]:
        D, x_t, x0_hat, t, s, _ = inputs
        return x_t + increments * (D(x0_hat, s) - D(x0_hat, t)), state

    return scan_trajectory(
        step,
        shifted,
        degrade,
        x_T,
        timesteps=timesteps,
        start=None,
        endpoint="fixed",
        last_step="full",
        restart=None,
        check_finite=False,
        return_trajectory=False,
        trajectory_every=1,
    ).x_0


def variants(T: int, equal_change: dict[int, np.ndarray]) -> dict[str, dict]:
    """Returns the options of `levered`, by name."""
    found = {f"increments {c:g}": {"increments": c} for c in INCREMENTS}
    found |= {f"shift {d:+d}": {"shift": d} for d in SHIFTS}
    for calls, timesteps in equal_change.items():
        stride = sampling.equal_stride(T, num_calls=calls)
        found[f"{calls} steps, equal stride"] = {"timesteps": stride}
        found[f"{calls} steps, equal change"] = {"timesteps": timesteps}
    return found


def restore(restorer: Restorer, pixels: np.ndarray, options: dict) -> dict:
    """Returns the scores of all images, [N], and the images as "restored", uint8."""
    model = restorer.model

    def sample(shared: tuple, indexed: tuple) -> dict[str, jax.Array]:
        params, degrade, key = shared
        batch, indices = indexed
        x_0, bound, x_T = degrade_batch(
            degrade, indexed_keys(key, indices), batch, degrade.num_steps
        )
        restore_fn = model.restore_fn(params, degrade=bound)
        restored = images.as_saved(levered(restore_fn, bound, x_T, **options))
        return {
            "mse": metrics.mean_squared_error(restored, x_0),
            "ssim": metrics.ssim(restored, x_0),
            "restored": jnp.round((restored + 1) * 127.5).astype(jnp.uint8),
        }

    run = sampling.BatchSampler(sample, batch_size=_BATCH_SIZE.value)
    key = stream(model.config["seed"], "sampling levers")
    shared = (restorer.params, model.degrade, key)
    return run(shared, (Batch(pixels), np.arange(len(pixels))))


def study(workdir: str) -> None:
    """Scores every variant on one run, and writes its result file."""
    restorer = load_run(workdir)
    degrade = restorer.model.degrade
    count = _NUM_IMAGES.value
    pixels = images_of_run(restorer).load(range(count)).images
    (net,) = choose_nets([_FEATURES.value], restorer.model, num_images=count)
    features = SetFeatures(net, _BATCH_SIZE.value)
    clean, _ = features(pixels)
    x = images.to_float(pixels[:64])
    bound = degrade.bind(stream(restorer.model.config["seed"], "spacing"), x.shape)
    equal_change = functools.partial(sampling.equal_change, bound, x)
    timesteps = {calls: equal_change(num_calls=calls) for calls in CALLS}
    found = {}
    for name, options in variants(degrade.num_steps, timesteps).items():
        scores = restore(restorer, pixels, options)
        moments, _ = features(scores["restored"])
        found[name] = {
            "rmse": float(scores["mse"].mean()) ** 0.5,
            "ssim": float(scores["ssim"].mean()),
            "frechet": metrics.frechet_distance(moments, clean),
        }
        print(f"{name:24s} {found[name]}", flush=True)
    timing.write(
        f"sampling_levers/{os.path.basename(workdir)}",
        {
            "step": restorer.step,
            "num_images": count,
            "features": net.name,
            "T": degrade.num_steps,
            "variants": found,
        },
    )


def main(*workdirs: str) -> None:
    """Scores the variants on each of the runs."""
    for workdir in workdirs:
        study(workdir)


if __name__ == "__main__":
    program.run(main, num_arguments=None)
