"""Compares two run folders that should hold the same run."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from colddiff_jax.experiment.run_folder import load_description
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.training.task import abstract_state, build_model_and_task

TIMES = {"steps_per_second", "waiting_for_data"}


def states(workdir: pathlib.Path) -> dict[int, list[Any]]:
    """Returns the leaves of every checkpoint, on the host."""
    config = load_description(str(workdir))["config"]
    like = abstract_state(*build_model_and_task(config))
    with open_checkpoints(str(workdir)) as saved:
        return {
            step: jax.tree.map(np.asarray, jax.tree.leaves(saved.restore(like, step)))
            for step in saved.steps()
        }


def metrics(workdir: pathlib.Path) -> dict[str, dict[int, dict[str, float]]]:
    """Returns the lines of metrics.jsonl by kind and step, without timings.

    Raises:
        ValueError: an incomplete line, or steps of one kind that do not increase.
    """
    found: dict[str, dict[int, dict[str, float]]] = {"training": {}, "evaluation": {}}
    for text in (workdir / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        lines = found["evaluation" if "test_loss" in line else "training"]
        if line["step"] <= max(lines, default=-1):
            raise ValueError(f"step {line['step']} is repeated or out of order: {text}")
        lines[line["step"]] = {k: v for k, v in line.items() if k not in TIMES}
    return found


def compare(killed: pathlib.Path, undisturbed: pathlib.Path) -> dict[str, Any]:
    """Compares the checkpoints, metrics and pictures of two runs."""
    actual, expected = states(killed), states(undisturbed)
    common = sorted(actual.keys() & expected.keys())
    equal_states = all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for step in common
        for a, b in zip(actual[step], expected[step], strict=True)
    )
    lines, expected_lines = metrics(killed), metrics(undisturbed)
    pictures = sorted(path.name for path in (undisturbed / "grids").iterdir())
    return {
        "checkpoints compared": common,
        "arrays in each": len(actual[common[-1]]),
        "checkpoints equal": equal_states and max(expected) in common,
        "lines of metrics": {
            kind: len(by_step) for kind, by_step in expected_lines.items()
        },
        "lines of metrics equal": lines == expected_lines,
        "lines of metrics missing": {
            kind: sorted(by_step.keys() - lines[kind].keys())
            for kind, by_step in expected_lines.items()
        },
        "pictures compared": len(pictures),
        "pictures equal": all(
            (killed / "grids" / name).read_bytes()
            == (undisturbed / "grids" / name).read_bytes()
            for name in pictures
        ),
        "files too many": sorted(
            str(path.relative_to(killed))
            for path in killed.rglob("*")
            if ".part" in path.name or ".deleted" in path.name
        ),
    }
