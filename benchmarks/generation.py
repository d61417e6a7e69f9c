"""Scores generated images of every method of docs/generation.md, in one table.

    python -m benchmarks.generation --set=mnist
    python -m benchmarks.generation --set=fashion
    python -m benchmarks.generation --set=cifar --features=cifar10_resnet56.npz

docs/generation.md names the commands of the trainings, in folders such as
runs/generate_blur-mnist, and the file of features.

All runs of a set have the same network, and see the same number of images; every row
takes 50 calls of the network, or as many as the degradation has steps. The reference
set is that of training. The picture shows the first images of every row: no image was
chosen.
"""

import argparse
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import colddiff_jax as cd
from benchmarks import timing
from colddiff_jax.evaluation import evaluate_generated
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.generated import GeneratedEvaluation
from colddiff_jax.evaluation.generated_images import open_splits
from colddiff_jax.evaluation.tables import generation_table
from colddiff_jax.io import figures
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.sampling.priors import with_noise

CALLS = 50
SHOWN = 16  # Images of every row in the picture.


class Row(NamedTuple):
    """A method.

    Attributes:
        name: its name in the table.
        run: the name of its run folder; {} stands for the set.
        sampler: the name of the sampler.
        endpoint: None for the default.
        eta: the share of new noise at every step, for `ddim`; None for other samplers.
        prior_noise: of the prior; None for the run's.
        redraw: whether eta is a share of all noise, for `ddim`.
    """

    name: str
    run: str
    sampler: str = "alg2"
    endpoint: str | None = None
    eta: float | None = None
    prior_noise: float | None = None
    redraw: bool = False


BLUR, HEAT, NOISE = "generate_blur-{}", "generate_heat-{}", "generate_noise-{}"
ROWS = [
    Row("blur, perfect symmetry", BLUR, prior_noise=0.0),
    Row("blur, broken symmetry", BLUR),
    Row("fade to colour", "generate_color-{}"),
    Row("pixels", "generate_pixelate-{}"),
    Row("blur with noise", HEAT),
    Row("hot, fixed endpoint", NOISE, endpoint="fixed"),
    Row("hot, estimated endpoint", NOISE),
    Row("hot, noise drawn anew", NOISE, "ddim", eta=1.0),
    Row("rectified flow", "generate_flow-{}"),
    Row("inverse heat dissipation", "generate_ihd-{}", "ihd"),
    Row("animorphosis, fixed endpoint", "animorph-{}"),
    Row("animorphosis, estimated", "animorph-{}", endpoint="estimated"),
]
FEW_ROWS = ("blur with noise", "hot, estimated", "hot, noise drawn", "animorphosis")
SETS = {
    "mnist": ROWS,
    "cifar": ROWS,
    "fashion": [row for row in ROWS if row.name.startswith(FEW_ROWS)],
}


def evaluate(row: Row, run: Restorer, **settings: Any) -> GeneratedEvaluation:
    """Generates the images of a row, and scores them."""
    options: dict[str, Any] = {} if row.eta is None else {"eta": row.eta}
    if row.prior_noise is not None:
        options["prior"] = with_noise(run.prior, row.prior_noise)
    (found,) = evaluate_generated(
        run,
        samplers=[f"{row.sampler}:{calls_of(run)}"],
        endpoint=row.endpoint,
        options=options,
        progress=True,
        **settings,
    )
    return found


def calls_of(run: Restorer) -> int:
    """Returns the number of calls of the network for every image."""
    return min(CALLS, run.degradation.num_steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="runs", help="the folder of the run folders")
    parser.add_argument("--set", choices=SETS, default="mnist")
    parser.add_argument("--features", nargs="+", default=["classifier"])
    parser.add_argument("--images", type=int, default=1000, help="of every row")
    flags = parser.parse_args()
    rows: dict[str, Any] = {}
    scores: dict[str, Any] = {"distances": {}, "copies": {}}
    pictures: dict[str, np.ndarray] = {}
    settings: dict[str, Any] = {"generate": flags.images}

    def keep(name: str, found: GeneratedEvaluation, theirs: str) -> None:
        for net, by_row in found.distances.items():
            scores["distances"].setdefault(net, {})[name] = rounded(by_row[theirs])
        scores["copies"][name] = rounded(found.copies[theirs])
        pictures[name] = cd.to_float(found.images[theirs][:SHOWN])

    for row in SETS[flags.set]:
        folder = os.path.join(flags.runs, row.run.format(flags.set))
        run = cd.load(folder)
        if not rows:
            nets = choose_nets(flags.features, run.model, num_images=flags.images)
            settings |= {"nets": nets, "images": open_splits(run)}
        found = evaluate(row, run, **settings)
        settings["references"] = found.references  # Measured once for all rows.
        rows[row.name] = {
            "run": row.run.format(flags.set),
            "step": found.settings["step"],
            "calls": calls_of(run),
        }
        keep(row.name, found, found.settings["samplers"][0])
        print(row.name, scores["copies"][row.name], flush=True)
    keep("test images", found, "test images")
    fid = [net.name for net in nets if net.is_fid]
    print(generation_table(scores["distances"], scores["copies"], fid=fid))
    timing.write(
        f"generation/{flags.set}",
        {"images": flags.images, "rows": rows, **scores},
    )
    folder = timing.RESULTS.parents[1] / "docs" / "images"
    figures.save_png(str(folder / f"generated_{flags.set}.png"), figures.grid(pictures))


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Returns numbers with few digits."""
    return {name: float(f"{value:.5g}") for name, value in values.items()}


if __name__ == "__main__":
    main()
