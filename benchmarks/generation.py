"""Scores generated images of every method of docs/generation.md, in one table.

    for config in blur pixelate heat color noise flow; do
        python train.py --config=configs/generate_$config.py:mnist
    done
    python train.py --config=configs/mnist_ihd.py:cpu
    python train.py --config=configs/animorph.py:mnist
    python -m benchmarks.generation --set=mnist
    python -m benchmarks.generation --set=cifar --features=weights/cifar10_resnet56.npz

All runs have the same network, and see the same number of images; every row takes 50
calls of the network, or as many as the degradation has steps. The reference set is that
of training. The picture shows the first images of every row: no image was chosen.
"""

import argparse
import os
from typing import Any, NamedTuple

import numpy as np

import colddiff_jax as cd
from benchmarks import timing
from colddiff_jax.evaluation import evaluate_generated
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.generated_images import open_splits
from colddiff_jax.io import figures
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.sampling.priors import with_noise

CALLS = 50
SHOWN = 16  # Images of every row in the picture.


class Row(NamedTuple):
    """A method.

    Attributes:
        name: its name in the table.
        run: the configuration; {} stands for the set.
        sampler: its name.
        endpoint: None for the default.
        options: further options of `Restorer.generate`.
        prior_noise: of the prior; None for the run's.
    """

    name: str
    run: str
    sampler: str = "alg2"
    endpoint: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    prior_noise: float | None = None


FRESH = (("eta", 1.0),)
BLUR, NOISE = "generate_blur-{}", "generate_noise-{}"
ROWS = [
    Row("blur, perfect symmetry", BLUR, prior_noise=0.0),
    Row("blur, broken symmetry", BLUR),
    Row("fade to colour", "generate_color-{}"),
    Row("pixels", "generate_pixelate-{}"),
    Row("blur with noise", "generate_heat-{}"),
    Row("blur with noise, drawn anew", "generate_heat-{}", "ddim", options=FRESH),
    Row("hot, fixed endpoint", NOISE, endpoint="fixed"),
    Row("hot, estimated endpoint", NOISE),
    Row("hot, noise drawn anew", NOISE, "ddim", options=FRESH),
    Row("rectified flow", "generate_flow-{}"),
]
OTHERS = {
    "mnist": [
        Row("inverse heat dissipation", "mnist_ihd-cpu", "ihd"),
        Row("animorphosis, fixed endpoint", "animorph-mnist"),
        Row("animorphosis, estimated", "animorph-mnist", endpoint="estimated"),
    ],
    "cifar": [
        Row("animorphosis, fixed endpoint", "animorph-cifar"),
        Row("animorphosis, estimated", "animorph-cifar", endpoint="estimated"),
    ],
}


def evaluate(row: Row, run: Restorer, **settings: Any) -> tuple[dict, np.ndarray, dict]:
    """Returns the scores of a row, its images, and the scores of test images."""
    options = dict(row.options)
    if row.prior_noise is not None:
        options["prior"] = with_noise(run.prior, row.prior_noise)
    calls = min(CALLS, run.degradation.num_steps)
    name = f"{row.sampler}:{calls}"
    (found,) = evaluate_generated(
        run,
        samplers=[name],
        endpoint=row.endpoint,
        options=options,
        progress=True,
        **settings,
    )
    images = found.images[name]

    def scores(name: str) -> dict[str, Any]:
        by_net = {
            net: {key: round(float(value), 4) for key, value in rows[name].items()}
            for net, rows in found.distances.items()
        }
        copies = {key: round(float(v), 4) for key, v in found.copies[name].items()}
        return {"distances": by_net, "copies": copies}

    about = {"calls": calls, "step": found.settings["step"]}
    return about | scores(name), images, scores("test images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="runs", help="the folder of the run folders")
    parser.add_argument("--set", choices=OTHERS, default="mnist")
    parser.add_argument("--features", nargs="+", default=["classifier"])
    parser.add_argument("--images", type=int, default=1000, help="of every row")
    flags = parser.parse_args()
    table: dict[str, Any] = {}
    pictures: dict[str, np.ndarray] = {}
    nets = None
    for row in [*ROWS, *OTHERS[flags.set]]:
        folder = os.path.join(flags.runs, row.run.format(flags.set))
        if not os.path.isdir(folder):
            print(f"{row.name}: no run {folder}")
            continue
        run = cd.load(folder)
        if nets is None:
            nets = choose_nets(flags.features, run.model, num_images=flags.images)
            images = open_splits(run)
        found, pixels, perfect = evaluate(
            row, run, generate=flags.images, images=images, nets=nets
        )
        table[row.name] = {"run": row.run.format(flags.set), **found}
        print(row.name, table[row.name], flush=True)
        pictures[row.name] = cd.to_float(pixels[:SHOWN])
    table["test images"] = perfect
    timing.write(
        f"generation/{flags.set}",
        {"images": flags.images, "model": repr(run), "rows": table},
    )
    path = timing.RESULTS / "generation" / f"{flags.set}.png"
    figures.save_png(str(path), figures.grid(pictures))


if __name__ == "__main__":
    main()
