"""Follows Algorithm 2 along its walk, to find where its error comes from.

    python -m benchmarks.trajectories runs/mnist_blur-cpu runs/mnist_mask-cpu
    python -m benchmarks.trajectories     only draws the picture

For each run folder, and with and without consistent predictions, it measures at every
step t of the walk from x_T

    drift(t)   the RMSE of x_t from D(x_0, t), where a perfect restorer would be
    walk(t)    the RMSE of R(x_t, t) from x_0
    apart(t)   the RMSE of R(D(x_0, t), t) from x_0, the error without the drift

in bands of spatial frequency, and writes benchmarks/results/trajectories/NAME.json:
mean squares by step and band, which add up to the whole, in units where black and white
are 1 apart. From all results there it draws docs/images/results/trajectories.png (needs
matplotlib: the extra `benchmarks`).
"""

import itertools
import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks import timing
from colddiff_jax import sampling
from colddiff_jax.cli import program
from colddiff_jax.data import Batch
from colddiff_jax.degradations.blur import dct_matrix
from colddiff_jax.degradations.separable import precise_einsum
from colddiff_jax.experiment.model import Model
from colddiff_jax.prng import indexed_keys, stream
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.sampling.consistency import with_factors

_NUM_IMAGES = flags.DEFINE_integer("num_images", 512, "test images to restore", 1)

RESULTS = timing.RESULTS / "trajectories"
PICTURE = pathlib.Path(__file__).parent.parent / "docs/images/results/trajectories.png"
# Of the radial frequency of a cosine, whose largest value along an axis is 1.
BANDS = {"0 to 1/8": 1 / 8, "1/8 to 1/4": 1 / 4, "1/4 to 1/2": 1 / 2, "above 1/2": 2.0}
WALKS = ("alg2", "alg2+consistent")


def band_masks(side: int) -> np.ndarray:
    """Returns which cosines belong to which band, float32 [bands, side, side]."""
    frequency = np.arange(side) / side
    radius = np.hypot(frequency[:, None], frequency)
    pairs = itertools.pairwise([-1.0, *BANDS.values()])
    masks = [(low < radius) & (radius <= high) for low, high in pairs]
    return np.stack(masks).astype(np.float32)


def powers(difference: jax.Array, cosines: jax.Array, masks: jax.Array) -> jax.Array:
    """Returns the mean square per band of images [..., H, W, C], float32 [..., bands].

    Their sum is the mean square of the difference, in units of the range of pixels.
    """
    modes = precise_einsum("ui,vj,...ijc->...uvc", cosines, cosines, difference / 2)
    sums = precise_einsum("kuv,...uvc->...k", masks, jnp.square(modes))
    return sums / np.prod(difference.shape[-3:])


def follow(model: Model, walk: str) -> Any:
    """Returns the program that measures a batch: by name, float32 [B, steps, bands]."""

    def measure(shared: tuple, indexed: tuple) -> dict[str, jax.Array]:
        params, degrade, key, cosines, masks = shared
        batch, indices = indexed
        keys = indexed_keys(key, indices)
        x_0, bound, x_T = degrade_batch(degrade, keys, batch, degrade.num_steps)
        restore_fn = model.restore_fn(params, degrade=bound)
        if walk != "alg2":
            restore_fn = sampling.consistent(restore_fn, bound)
        result = sampling.sample_alg2(
            restore_fn, bound, x_T, return_trajectory=True
        ).images_first()
        steps = jnp.arange(degrade.num_steps, 0, -1)

        def on_manifold(t: jax.Array) -> tuple[jax.Array, jax.Array]:
            x_t = bound(x_0, t)
            return x_t, restore_fn(x_t, jnp.broadcast_to(t, len(x_0)))

        clean, apart = (
            images.swapaxes(0, 1) for images in jax.lax.map(on_manifold, steps)
        )
        targets = jnp.concatenate([clean, x_0[:, None]], axis=1)
        differences = {
            "drift": result.trajectory - targets,
            "walk": result.predictions - x_0[:, None],
            "apart": apart - x_0[:, None],
        }
        return {n: powers(d, cosines, masks) for n, d in differences.items()}

    return measure


def study(workdir: str) -> None:
    """Measures the walks of one run, and writes its result file."""
    restorer = load_run(workdir)
    model = restorer.model
    side = model.image_shape[0]
    count = _NUM_IMAGES.value
    pixels = images_of_run(restorer).load(range(count)).images
    key = stream(model.config["seed"], "trajectories")
    found = {}
    for walk in WALKS:
        run = sampling.BatchSampler(follow(model, walk), batch_size=64)
        cosines = jnp.asarray(dct_matrix(side), jnp.float32)
        degrade = with_factors(model.degrade)
        shared = (restorer.params, degrade, key, cosines, jnp.asarray(band_masks(side)))
        scores = run(shared, (Batch(pixels), np.arange(count)))
        found[walk] = {
            name: values.mean(axis=0).tolist() for name, values in scores.items()
        }
    timing.write(
        f"trajectories/{os.path.basename(workdir)}",
        {
            "step": restorer.step,
            "num_images": count,
            "T": model.degrade.num_steps,
            "bands": list(BANDS),
            "mean squares, from t = T down": found,
        },
    )


def draw(results: dict[str, dict]) -> None:
    """Plots errors and drift over t, and the bands of the final error, per run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(results), 3, figsize=(12, 3.2 * len(results)), squeeze=False
    )
    for (errors, drifts, bands), (run, result) in zip(
        axes, results.items(), strict=True
    ):
        walks = result["mean squares, from t = T down"]
        steps = np.arange(result["T"], -1, -1)
        for color, (walk, found) in zip(("C0", "C1"), walks.items(), strict=True):
            for name, style in (("walk", "-"), ("apart", ":")):
                label = f"{walk}, R(x_t)" if name == "walk" else f"{walk}, R(D(x_0))"
                errors.plot(steps[:-1], root(found[name]), style, c=color, label=label)
            drifts.plot(steps, root(found["drift"]), color=color, label=walk)
            final = np.sqrt(np.array(found["drift"][-1]))
            bands.plot(result["bands"], final, "o-", color=color, label=walk)
        first = np.sqrt(np.array(walks["alg2"]["walk"][0]))
        bands.plot(result["bands"], first, "s-", color="0.5", label="direct")
        errors.set(title=f"{run}: error of R", xlabel="t", ylabel="RMSE")
        drifts.set(title="drift of x_t from D(x_0, t)", xlabel="t")
        bands.set(title="error of x_0 by frequency", ylabel="root of the mean square")
        for axis in (errors, drifts, bands):
            axis.grid(alpha=0.3)
            axis.legend(fontsize=7)
        errors.invert_xaxis()
        drifts.invert_xaxis()
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80)


def root(rows: list[list[float]]) -> np.ndarray:
    """Returns RMSE, whose square is the sum over bands."""
    return np.sqrt(np.sum(rows, axis=-1))


def main(*workdirs: str) -> None:
    """Measures the runs that are named, and draws all results."""
    for workdir in workdirs:
        study(workdir)
    draw(
        {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*"))}
    )


if __name__ == "__main__":
    program.run(main, num_arguments=None)
