"""Draws the errors of restored test images over the steps of several trainings.

    python -m benchmarks.training_curves NAME runs/mnist_mask-plain runs/mnist_mask-cpu
    python -m benchmarks.training_curves NAME      only draws the picture again

It reads what training measured, metrics.jsonl, writes
benchmarks/results/training_curves/NAME.json, and draws docs/images/curves_NAME.png: the
RMSE of the direct prediction and of Algorithm 2 (needs matplotlib: the extra
`benchmarks`).
"""

import argparse
import json
import os
import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks import timing

RESULTS = timing.RESULTS / "training_curves"
IMAGES = pathlib.Path(__file__).parent.parent / "docs" / "images"
SAMPLERS = {"direct": "-", "alg2": ":"}  # Their lines.


def read(workdir: str) -> dict[str, Any]:
    """Returns the errors of a run by step, and what it was."""
    lines = pathlib.Path(workdir, "metrics.jsonl").read_text().splitlines()
    found = [line for line in map(json.loads, lines) if "rmse_direct" in line]
    config = json.loads(pathlib.Path(workdir, "config.json").read_text())["config"]
    return {
        "batch_size": config["training"]["batch_size"],
        "num_images": config["evaluation"]["num_images"],
        "model": config["model"],
        "loss": config["loss"],
        "objective": config["objective"],
        "step": [line["step"] for line in found],
        **{name: [line[f"rmse_{name}"] for line in found] for name in SAMPLERS},
    }


def draw(name: str, runs: dict[str, dict]) -> None:
    """Draws the errors of runs over the images that they have seen."""
    figure, axes = plt.subplots(figsize=(6, 3.6))
    for index, (label, run) in enumerate(runs.items()):
        seen = [step * run["batch_size"] / 1000 for step in run["step"][1:]]
        for sampler, line in SAMPLERS.items():
            text = label if sampler == "direct" else None
            axes.plot(
                seen, run[sampler][1:], line, color=f"C{index}", marker=".", label=text
            )
    axes.set_xlabel("thousands of training images seen")
    axes.set_ylabel("RMSE; dotted: Algorithm 2")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(IMAGES / f"curves_{name}.png", dpi=100)


def main() -> None:
    """Reads the runs, if there are any, and draws what is there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", help="of the result and the picture")
    parser.add_argument("workdirs", nargs="*", help="default: draw the result again")
    arguments = parser.parse_args()
    name, workdirs = arguments.name, arguments.workdirs
    if workdirs:
        runs = {os.path.basename(folder): read(folder) for folder in workdirs}
        command = f"python -m benchmarks.training_curves {name} " + " ".join(
            f"runs/{run}" for run in runs
        )
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"command": command, "runs": runs}, indent=2)
        (RESULTS / f"{name}.json").write_text(text + "\n")
    draw(name, json.loads((RESULTS / f"{name}.json").read_text())["runs"])


if __name__ == "__main__":
    main()
