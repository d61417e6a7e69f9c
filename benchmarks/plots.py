"""Draws docs/images/performance_*.png from results/suite_FORM.json.

    pip install -e '.[benchmarks]'
    python -m benchmarks.plots                 results/suite_short.json
    python -m benchmarks.plots --form=full

`performance_scaling.png` shows the sweeps of the part scaling, and
`performance_ratios.png` how many times as long as ours the same work takes in PyTorch.
`performance_devices.png` shows a step divided over virtual devices, if there is
results/suite_devices.json:

    python -m benchmarks --form=full --only=dividing \
        --out=benchmarks/results/suite_devices.json
"""

import argparse
import json
import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from benchmarks.suite import FORMS
from benchmarks.timing import RESULTS

IMAGES = RESULTS.parent.parent / "docs" / "images"
LABELS = {  # Of the first axis.
    "D against T": "T, steps of the degradation",
    "D against the side": "side of the images, pixels",
    "training step against the side": "side of the images, pixels",
    "training step against the batch": "images in a batch",
    "training step against virtual devices": "virtual devices",
}
BLURS = "D, closed form"
PANELS = {
    "D, against T": {BLURS: "D against T", "single steps": "T single steps in JAX"},
    "D, against the side": {BLURS: "D against the side"},
    "training step, against the batch": {
        "small network": "training step against the batch"
    },
    "training step, against the side": {
        "small network": "training step against the side"
    },
}


def main(form: str) -> None:
    """Draws all figures."""
    parts = _parts(f"suite_{form}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    if (RESULTS / "suite_devices.json").exists():
        rows = _parts("suite_devices")["dividing"]
        save(devices(rows), IMAGES / "performance_devices.png")
    save(scaling(parts["scaling"]), IMAGES / "performance_scaling.png")
    save(ratios(parts), IMAGES / "performance_ratios.png")


def _parts(name: str) -> dict[str, Any]:
    results = json.loads((RESULTS / f"{name}.json").read_text())
    return {name: part["rows"] for name, part in results["parts"].items()}


def scaling(rows: dict[str, Any]) -> plt.Figure:
    """Draws seconds and temporary memory against size."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for axis, (title, lines) in zip(axes.flat, PANELS.items(), strict=True):
        _panel(axis, rows, lines)
        axis.set(title=title)
    return figure


def devices(rows: dict[str, Any]) -> plt.Figure:
    """Draws seconds of a step, and memory per device, against their number."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    _panel(axis, rows, {"whole step": "training step against virtual devices"})
    return figure


def _panel(axis: Axes, rows: dict[str, Any], lines: dict[str, str]) -> None:
    for (label, name), marker in zip(lines.items(), "os", strict=False):
        _line(axis, rows[name]["seconds"], f"{label}, seconds", marker)
    name = next(iter(lines.values()))
    memory = axis.twinx()
    _line(memory, rows[name]["temporary MB"], "temporary memory, MB", "^", "0.5")
    memory.set(ylabel="temporary memory, MB", yscale="log")
    axis.set(xlabel=LABELS[name], ylabel="seconds", xscale="log", yscale="log")
    ticks = [float(value) for value in rows[name]["seconds"]]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.legend(handles=axis.get_lines() + memory.get_lines(), fontsize="small")


def ratios(parts: dict[str, Any]) -> plt.Figure:
    """Draws the medians and ranges of all ratios of PyTorch's time to ours."""
    bars = {
        f"{part}: {row_name}\n{name}": found
        for part, rows in parts.items()
        for row_name, row in rows.items()
        for name, found in row.get("over ours", {}).items()
        if "PyTorch" in name or "DataLoader" in name
    }
    height = max(2.0, 0.4 * len(bars) + 1)
    figure, axis = plt.subplots(figsize=(10, height), layout="constrained")
    for position, found in enumerate(bars.values()):
        low, high = found["range"]
        axis.plot([low, high], [position, position], color="0.6", linewidth=3)
        axis.plot(found["median"], position, "o", color="C0")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(range(len(bars)), [*bars], fontsize="x-small")
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="PyTorch's time / ours (dot: median, line: range)")
    return figure


def save(figure: plt.Figure, path: pathlib.Path) -> None:
    """Writes a figure."""
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(path)


def _line(
    axis: Axes, values: dict[str, float], label: str, marker: str, color: str = ""
) -> None:
    x = [float(value) for value in values]
    style: dict[str, Any] = {"color": color, "linestyle": "--"} if color else {}
    axis.plot(x, [*values.values()], marker=marker, label=label, **style)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots")
    parser.add_argument("--form", choices=FORMS, default="short")
    main(parser.parse_args().form)
