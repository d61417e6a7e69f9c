"""Compares the methods of docs/family.md that restore, by calls of the network.

    python -m benchmarks.photo_pairs --folder=pairs --make=photos
    python -m benchmarks.family_restoration --runs=runs
    python -m benchmarks.family_restoration         only draws the picture

docs/family.md names the commands of the trainings, on photographs and their JPEG files
of quality 10. All runs have the same network, and have seen the same number of windows.
The centres of the test photographs are restored from their JPEG files with 1, 2, 5, 10
and 20 calls of the network, and with as many as there are steps. The first row alone
knows that the images are JPEG files, and is trained on clean ones. Sharpness is the
mean slope between neighbouring pixels divided by that of the clean images. Writes
benchmarks/results/family/restoration.json, and draws
docs/images/family/restoration.png (needs matplotlib: the extra `benchmarks`).
"""

import argparse
import json
import os
from typing import Any, NamedTuple

import jax
import numpy as np

import colddiff_jax as cd
from benchmarks import timing
from benchmarks.few_steps import slope
from colddiff_jax import metrics, sampling
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import takes_images
from colddiff_jax.prng import indexed_keys, stream
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.restoration.restorer import Restorer

CALLS = (1, 2, 5, 10, 20)
PAIRS = "photo_pairs"  # The run whose test images are restored by all.
RESULT = timing.RESULTS / "family" / "restoration.json"
PICTURE = timing.RESULTS.parents[1] / "docs" / "images" / "family" / "restoration.png"


class Row(NamedTuple):
    """A method.

    Attributes:
        name: its name in the table.
        run: the name of its run folder.
        eta: the share of new noise at every step; None for Algorithm 2, with the
            degraded image as the fixed endpoint of a blend.
    """

    name: str
    run: str
    eta: float | None


ROWS = [
    Row("Cold diffusion, JPEG known", "photo_unjpeg", None),
    Row("InDI", PAIRS, 0.0),
    Row("Algorithm 2, y fixed", PAIRS, None),
    Row("Interpolant, ODE", "interpolant", 0.0),
    Row("Interpolant, SDE", "interpolant", 1.0),
    Row("I2SB", "bridge", 1.0),
    Row("RDDM", "bridge-rddm", 1.0),
    Row("IR-SDE", "bridge-ir_sde", 1.0),
    Row("Resfusion", "bridge-resfusion", 1.0),
]


def score(restorer: Restorer, batch: Batch, row: Row, calls: int) -> dict[str, float]:
    """Returns the mean scores of a method with a number of calls."""
    model = restorer.model

    def sample(shared: tuple, indexed: tuple) -> dict[str, jax.Array]:
        params, unbound, key = shared
        batch, indices = indexed
        bind_keys, noise_keys = (
            indexed_keys(jax.random.fold_in(key, i), indices) for i in range(2)
        )
        if takes_images(unbound):
            x_0, degrade, x_T = degrade_batch(
                unbound, bind_keys, batch, unbound.num_steps
            )
        else:
            degrade = unbound
            x_0, x_T = cd.to_float(batch.images), cd.to_float(batch.endpoints)
        restore_fn = model.restore_fn(params, degrade=degrade)
        if row.eta is None:
            result = sampling.sample_alg2(restore_fn, degrade, x_T, timesteps=calls)
        else:
            result = sampling.sample_ddim(
                restore_fn, degrade, x_T, key=noise_keys, eta=row.eta, timesteps=calls
            )
        return {
            "PSNR": metrics.psnr(result.x_0, x_0),
            "SSIM": metrics.ssim(result.x_0, x_0),
            "slope": slope(result.x_0),
            "clean slope": slope(x_0),
        }

    shared = (restorer.params, model.degrade, stream(0, "family"))
    run = sampling.BatchSampler(sample, batch_size=32)
    found = run(shared, (batch, np.arange(len(batch.images))))
    return rounded(found)


def rounded(found: dict[str, Any]) -> dict[str, float]:
    """Returns the means of the scores of images."""
    return {
        "PSNR": round(float(found["PSNR"].mean()), 3),
        "SSIM": round(float(found["SSIM"].mean()), 4),
        "sharpness": round(float(found["slope"].sum() / found["clean slope"].sum()), 3),
    }


def observed(batch: Batch) -> dict[str, float]:
    """Returns the scores of the degraded images themselves."""
    x, x_0 = cd.to_float(batch.endpoints), cd.to_float(batch.images)
    return rounded(
        {
            "PSNR": metrics.psnr(x, x_0),
            "SSIM": metrics.ssim(x, x_0),
            "slope": slope(x),
            "clean slope": slope(x_0),
        }
    )


def study(runs: str) -> None:
    """Scores every method whose run is there, and writes the result file."""
    found: dict[str, Any] = {}
    images = images_of_run(cd.load(os.path.join(runs, PAIRS)))
    batch = images.load(range(len(images.images)))
    for row in ROWS:
        folder = os.path.join(runs, row.run)
        if not os.path.isdir(folder):
            print(f"no {folder}")
            continue
        run = cd.load(folder)
        T = run.degradation.num_steps
        calls = [n for n in CALLS if n < T] + [T]
        found[row.name] = {
            "run": row.run,
            "step": run.step,
            "T": T,
            "windows seen": run.step * run.model.config["training"]["batch_size"],
            "by calls": {n: score(run, batch, row, n) for n in calls},
        }
        print(row.name, found[row.name], flush=True)
    timing.write(
        "family/restoration",
        {
            "photographs": len(batch.images),
            "degraded": observed(batch),
            "methods": found,
        },
    )


def draw(result: dict[str, Any]) -> None:
    """Plots PSNR and sharpness of all methods over their calls."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(12, 4))
    for axes, name in zip(panels, ("PSNR", "sharpness"), strict=True):
        for method, scores in result["methods"].items():
            calls = [int(n) for n in scores["by calls"]]
            values = [row[name] for row in scores["by calls"].values()]
            axes.plot(calls, values, marker="o", markersize=4, label=method)
        axes.axhline(result["degraded"][name], color="0.5", ls=":", label="JPEG")
        axes.set(xscale="log", xlabel="calls of the network", ylabel=name)
        axes.set_xticks([*CALLS, 100], [str(n) for n in (*CALLS, 100)])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=90)


def main() -> None:
    """Scores the runs of a folder, if it is given, and draws the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", help="the folder of the run folders")
    flags = parser.parse_args()
    if flags.runs:
        study(flags.runs)
    draw(json.loads(RESULT.read_text()))


if __name__ == "__main__":
    main()
