"""Draws distances over errors of all results of benchmarks.restoration.

    python -m benchmarks.restoration_plot

writes docs/images/results/summary.png, a panel per model of a GPU, and more.png, of a
CPU (needs matplotlib: the extra `benchmarks`). A line leads from the single prediction
over few steps of Algorithm 2 to all of them.
"""

import json
import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks import timing
from colddiff_jax.experiment.builders import make_degradation

COLUMNS = 3
WALK = ("direct", "alg2:2", "alg2:3", "alg2:5", "alg2:10", "alg2:20", "alg2")
OTHERS = ("alg2+consistent:5",)
LABELS = {"direct": "direct", "alg2": "all", "alg2+consistent:5": "consistent, 5"}


def draw(axes: Axes, name: str, result: dict) -> None:
    """Draws the samplers of one model: Frechet distance over RMSE."""
    (net,) = result["distances"]

    def place(sampler: str) -> tuple[float, float]:
        distance = result["distances"][net][sampler]["frechet"]
        return result["pixels"][sampler]["rmse"], distance

    walk = [sampler for sampler in WALK if sampler in result["pixels"]]
    axes.plot(*zip(*map(place, walk), strict=True), marker="o", markersize=4)
    others = [sampler for sampler in OTHERS if sampler in result["pixels"]]
    for sampler in others:
        axes.plot(*place(sampler), marker="s", markersize=6, color="tab:orange")
    for sampler in walk + others:
        label = LABELS.get(sampler, sampler.split(":")[-1])
        axes.annotate(
            label, place(sampler), (4, 4), textcoords="offset points", fontsize=7
        )
    axes.set_title(f"{name}, T = {steps_of(result)}", fontsize=9)
    axes.set_xlabel("RMSE")
    axes.set_ylabel(f"Frechet, {net}", fontsize=7)
    axes.locator_params(axis="x", nbins=4)
    axes.margins(0.15)
    axes.grid(alpha=0.3)


def steps_of(result: dict) -> int:
    """Returns T of the degradation that a model undoes."""
    config = result["settings"]["config"]
    size = config["data"]["image_size"]
    return make_degradation(config["degradation"], size).num_steps


def draw_all(results: dict[str, dict], name: str) -> None:
    """Draws a picture of several models."""
    rows = math.ceil(len(results) / COLUMNS)
    figure, panels = plt.subplots(
        rows, COLUMNS, figsize=(4 * COLUMNS, 3.4 * rows), squeeze=False
    )
    for axes, (title, result) in zip(panels.flat, results.items(), strict=False):
        draw(axes, title, result)
    for axes in panels.flat[len(results) :]:
        axes.set_axis_off()
    figure.tight_layout()
    folder = timing.RESULTS.parents[1] / "docs" / "images" / "results"
    figure.savefig(folder / f"{name}.png", dpi=80)
    plt.close(figure)


def main() -> None:
    """Draws all results that are there."""
    results = {
        path.stem: json.loads(path.read_text())
        for path in sorted((timing.RESULTS / "restoration").glob("*.json"))
    }
    on_cpu = {name: found for name, found in results.items() if name.endswith("-cpu")}
    draw_all({n: found for n, found in results.items() if n not in on_cpu}, "summary")
    draw_all(on_cpu, "more")


if __name__ == "__main__":
    main()
