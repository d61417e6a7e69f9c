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
from benchmarks.set_scores import SetScores
from colddiff_jax import sampling
from colddiff_jax.cli import program
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.io import images
from colddiff_jax.prng import stream
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
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


def study(workdir: str) -> None:
    """Scores every variant on one run, and writes its result file."""
    restorer = load_run(workdir)
    degrade = restorer.model.degrade
    count = _NUM_IMAGES.value
    pixels = images_of_run(restorer).load(range(count)).images
    seed = restorer.model.config["seed"]
    scores = SetScores(
        restorer.model, pixels, _FEATURES.value, batch_size=_BATCH_SIZE.value
    )
    x = images.to_float(pixels[:64])
    bound = degrade.bind(stream(seed, "spacing"), x.shape)
    equal_change = functools.partial(sampling.equal_change, bound, x)
    timesteps = {calls: equal_change(num_calls=calls) for calls in CALLS}
    found = {}
    for name, options in variants(degrade.num_steps, timesteps).items():

        def restore(params: Any, D: Any, x_T: Any, options: Any = options) -> Any:
            restore_fn = restorer.model.restore_fn(params, degrade=D)
            return levered(restore_fn, D, x_T, **options)

        key = stream(seed, "sampling levers")
        found[name] = scores(restore, restorer.params, key)
        print(f"{name:24s} {found[name]}", flush=True)
    timing.write(
        f"sampling_levers/{os.path.basename(workdir)}",
        {
            "step": restorer.step,
            "num_images": count,
            "features": scores.net.name,
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
