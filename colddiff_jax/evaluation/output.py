"""Writes the results of an evaluation: numbers, a table, pictures, references."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from colddiff_jax.evaluation.earlier import add_to_earlier
from colddiff_jax.evaluation.evaluate import Evaluation
from colddiff_jax.evaluation.paper_tables import Row, data_set_name, rows_for
from colddiff_jax.evaluation.tables import histograms, table
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.io import figures
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.io.images import to_float
from colddiff_jax.metrics.reference import Reference, save_reference
from colddiff_jax.restoration.samplers import title

_FEWEST = 50  # Images in a histogram.


def write_results(
    out: str,
    found: Sequence[Evaluation],
    nets: Sequence[FeatureNet],
    *,
    seconds: float,
    command: str = "",
) -> dict[str, Any]:
    """Writes the results to a folder, and prints the table.

    The numbers are added to those of other samplers in the folder, if these have the
    same settings; pictures and histograms are of the given ones.

    Args:
        out: the folder; it must exist.
        found: one evaluation per seed, from `evaluate`.
        nets: the feature networks.
        seconds: the duration of the evaluation.
        command: the command that reproduces the results.

    Returns:
        The contents of `results.json`.
    """
    first = found[0]
    settings, data = first.settings, first.settings["data"]
    paper: Mapping[str, Row] = {}
    if data["split"] == "test":  # As in the paper.
        paper = rows_for(settings["config"], data_set_name(settings["config"]))
    content: dict[str, Any] = {"command": command, "seconds": round(seconds, 1)}
    content |= results(found, paper)
    path = os.path.join(out, "results.json")
    content = add_to_earlier(path, content)
    fid = [net.name for net in nets if net.is_fid]
    lines = [_heading(found), ""]
    lines += [table(content["pixels"], content["distances"], fid=fid, paper=paper)]
    lines += [f"\nNote: {note}." for note in content["notes"]]
    page = "\n".join(lines) + "\n"
    print(page)
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, text.encode())
    write_atomically(os.path.join(out, "results.md"), page.encode())
    for group, rows in first.examples.items():
        titled = {title(name): to_float(x) for name, x in rows.items()}
        figures.save_png(os.path.join(out, f"{group}.png"), figures.grid(titled))
    _write_histograms(os.path.join(out, "histograms.png"), first)
    return content


def _write_histograms(path: str, found: Evaluation) -> None:
    """Draws histograms, or prints why not, and removes those of an earlier call."""
    count = len(found.per_image["mse/degraded"])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if count < _FEWEST:
        print(
            f"no histograms: they need at least {_FEWEST} images, and these are {count}"
        )
        return
    try:
        histograms(path, found.per_image, found.pixels)
    except ImportError:
        print("no histograms: they need Matplotlib, pip install 'colddiff-jax[plots]'")


def write_references(folder: str, references: Mapping[str, Reference]) -> None:
    """Saves statistics of the clean images, by feature network; prints the paths."""
    os.makedirs(folder, exist_ok=True)
    for net, reference in references.items():
        name = re.sub(r"\W+", "_", f"{reference.name} {net}").strip("_")
        path = os.path.join(folder, f"{name}.npz")
        save_reference(path, reference)
        print(path)


def results(found: Sequence[Evaluation], paper: Mapping[str, Row]) -> dict[str, Any]:
    """Returns all results, for a JSON file.

    Args:
        found: one evaluation per seed, with the same settings apart from the seed.
        paper: the scores that the paper prints, by sampler.
    """
    by_seed = {
        str(evaluation.settings["seed"]): {
            "test_loss": evaluation.loss,
            "pixels": evaluation.pixels,
            "distances": evaluation.distances,
        }
        for evaluation in found
    }
    scores = [*by_seed.values()]
    combined = over_seeds(np.mean, scores)
    if len(found) > 1:
        combined["standard_deviations"] = over_seeds(np.std, scores)
        combined["by_seed"] = by_seed
    return {
        "settings": found[0].settings | {"seed": [int(seed) for seed in by_seed]},
        **combined,
        "paper": {
            sampler: {name: number._asdict() for name, number in row._asdict().items()}
            for sampler, row in paper.items()
        },
        "notes": found[0].notes,
    }


def _heading(found: Sequence[Evaluation]) -> str:
    """Returns one line about the images, the model and the settings."""
    settings = found[0].settings
    data = settings["data"]
    split = f", {data['split']} split" if data["split"] else ""
    heading = f"{data['count']} images ({data['source']}{split}), step "
    heading += str(settings["step"])
    if len(found) > 1:
        heading += f", means over {len(found)} seeds"
    if faults := settings["faults"]:
        heading += f", with the faults {', '.join(faults)}"
    return heading


def over_seeds(reduce: Callable[[Any], Any], scores: Sequence[Any]) -> Any:
    """Reduces nested dictionaries of numbers to one, number by number."""
    first = scores[0]
    if isinstance(first, Mapping):
        return {
            name: over_seeds(reduce, [each[name] for each in scores]) for name in first
        }
    return float(reduce(scores))
