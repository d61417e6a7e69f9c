"""Compares the methods of docs/family.md that generate, by calls of the network.

    python -m benchmarks.family_generation --runs=runs
    python -m benchmarks.family_generation          only draws the picture

docs/family.md names the commands of the trainings, in folders such as
runs/generate_flow-mnist. All runs have the same network, and have seen the same number
of images. Every method generates the same number of images with 2, 5, 10, 20 and 50
calls of its network, or as many as its degradation has steps; the Frechet distance to
the training images is that of the features of a classifier. Writes
benchmarks/results/family/generation.json, and draws docs/images/family/generation.png
(needs matplotlib: the extra `benchmarks`).
"""

import argparse
import json
import os
from typing import Any

import colddiff_jax as cd
from benchmarks import timing
from benchmarks.generation import Row
from colddiff_jax.evaluation import evaluate_generated
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.generated_images import open_splits

CALLS = (2, 5, 10, 20, 50)
DISTANCES = (25, 50, 100, 200, 400)  # Ticks of the picture.
RESULT = timing.RESULTS / "family" / "generation.json"
PICTURE = timing.RESULTS.parents[1] / "docs" / "images" / "family" / "generation.png"
NOISE = "generate_noise-mnist"
ROWS = [
    Row("DDIM", NOISE, "ddim", eta=0.0),
    Row("DDPM", NOISE, "ddim", eta=1.0),
    Row("flow, x_0", "generate_flow-mnist"),
    Row("flow, velocity", "generate_flow-velocity-mnist"),
    Row("heat blur, constant noise", "generate_heat-mnist", "ddim", eta=0.0),
    Row("restoration-based", "generate_heat-mnist", "ddim", eta=1.0, redraw=True),
    Row("inverse heat dissipation", "generate_ihd-mnist", "ihd"),
    Row("Soft Diffusion", "soft_diffusion-mnist", "ddim", eta=1.0),
    Row("Blurring Diffusion", "blurring_diffusion-mnist", "ddim", eta=1.0),
    Row("cold: blur", "generate_blur-mnist"),
    Row("cold: pixels", "generate_pixelate-mnist"),
    Row("cold: fade to colour", "generate_color-mnist"),
]


def study(runs: str, num_images: int) -> None:
    """Scores every method whose run is there, and writes the result file.

    What the file has for as many images of the same step of a run is kept.
    """
    found: dict[str, Any] = {}
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    kept = before["methods"] if before.get("images") == num_images else {}
    settings: dict[str, Any] = {"generate": num_images}
    for row in ROWS:
        folder = os.path.join(runs, row.run)
        if not os.path.isdir(folder):
            print(f"no {folder}")
            continue
        run = cd.load(folder)
        if kept.get(row.name, {}).get("step") == run.step:
            found[row.name] = kept[row.name]
            continue
        if "nets" not in settings:
            nets = choose_nets(["classifier"], run.model, num_images=num_images)
            settings |= {"nets": nets, "images": open_splits(run)}
        T = run.degradation.num_steps
        calls = [n for n in CALLS if n < T] + [min(T, max(CALLS))]
        if row.sampler == "ihd":  # R predicts the step before.
            calls = [T]
        (scores,) = evaluate_generated(
            run,
            samplers=[f"{row.sampler}:{n}" for n in calls],
            options={} if row.eta is None else {"eta": row.eta, "redraw": row.redraw},
            **settings,
        )
        settings["references"] = scores.references  # Measured once for all methods.
        (distances,) = scores.distances.values()
        found[row.name] = {
            "run": row.run,
            "step": run.step,
            "T": T,
            "images seen": run.step * run.model.config["training"]["batch_size"],
            "frechet by calls": {
                n: float(f"{distances[f'{row.sampler}:{n}']['frechet']:.4g}")
                for n in calls
            },
        }
        print(row.name, found[row.name], flush=True)
    timing.write("family/generation", {"images": num_images, "methods": found})


def draw(result: dict[str, Any]) -> None:
    """Plots the distances of all methods over their calls."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5))
    for index, (name, method) in enumerate(result["methods"].items()):
        points = method["frechet by calls"].items()
        calls, values = zip(*((int(n), value) for n, value in points), strict=True)
        style = ("-", "--", ":")[index // 5]
        axes.plot(calls, values, style, marker="o", markersize=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="calls of the network")
    axes.set_ylabel("Frechet distance, classifier of MNIST")
    axes.set_xticks(CALLS, [str(n) for n in CALLS])
    axes.set_yticks(DISTANCES, [str(n) for n in DISTANCES])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=90)


def main() -> None:
    """Scores the runs of a folder, if it is given, and draws the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", help="the folder of the run folders")
    parser.add_argument("--images", type=int, default=1000, help="of every method")
    flags = parser.parse_args()
    if flags.runs:
        study(flags.runs, flags.images)
    draw(json.loads(RESULT.read_text()))


if __name__ == "__main__":
    main()
