"""Scores generated images of a run from its folder or file, and writes the results."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.earlier import add_to_earlier
from colddiff_jax.evaluation.evaluate_run import check_references, load_references
from colddiff_jax.evaluation.generated import GeneratedEvaluation, evaluate_generated
from colddiff_jax.evaluation.generated_images import (
    Endpoint,
    check_generation,
    open_splits,
)
from colddiff_jax.evaluation.output import over_seeds, write_references
from colddiff_jax.evaluation.tables import generation_table
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.io import disk, figures
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.io.images import to_float
from colddiff_jax.restoration.loading import load_run, output_folder
from colddiff_jax.restoration.samplers import title
from colddiff_jax.sampling.priors import with_noise

_COLUMNS, _ROWS = 16, 4  # Of each sampler, in the picture of generated images.


def evaluate_generated_run(
    workdir: str,
    generate: int,
    *,
    out: str = "",
    checkpoint: str = "latest",
    split: Literal["train", "test"] = "train",
    num_images: int = 0,
    samplers: Sequence[str] | None = None,
    endpoint: Endpoint | None = None,
    seeds: Sequence[int] = (),
    features: Sequence[str] = ("auto",),
    references: Sequence[str] = (),
    save_references: str = "",
    batch_size: int = 200,
    prior_noise: float | None = None,
    options: Mapping[str, Any] | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Generates images, scores them, and writes numbers, a table and pictures.

    Args:
        workdir: the run folder, or an exported file.
        generate: the number of images for each sampler and seed, at least 5.
        out: the folder to write to; by default `generation` in the run folder.
        checkpoint: "latest", "best" or the number of a step.
        split: the images of the run to compare with, "train" or "test".
        num_images: their number, starting from the first; 0 for all.
        samplers: names such as "alg2:5" for five steps; None for "alg2", or "ihd" if R
            predicts the step before.
        endpoint: the endpoint of a blend, as in `Restorer.generate`.
        seeds: seeds of the images; by default the run's seed.
        features: names of feature networks, as for `choose_nets`.
        references: files of `save_references` to compare with, instead of the images of
            the split.
        save_references: the folder to save statistics of these images to.
        batch_size: images whose features are computed at once, over all devices.
        prior_noise: the standard deviation of the noise on draws of a fitted prior;
            None for the run's.
        options: further arguments of `Restorer.generate`, such as `eta`.
        command: the command that reproduces the results, stored with them.

    Returns:
        The contents of `generation.json`.

    Raises:
        InputError: as in `evaluate_generated`; files that are missing, or a folder that
            cannot be written to.

    Example:
        >>> prior = sampling.EmpiricalPrior(np.zeros((1, 16, 16, 1), np.float32))
        >>> results = evaluate_generated_run(
        ...     "runs/digits_blur", 8, features=["none"], options={"prior": prior}
        ... )
        >>> 0 <= results["copies"]["alg2"]["share"] <= 1
        True
    """
    by_net = load_references(references)
    restorer = load_run(workdir, checkpoint)
    options = dict(options or {})
    if prior_noise is not None:
        prior = options.get("prior", restorer.prior)
        options["prior"] = with_noise(prior, prior_noise)
    settings: dict[str, Any] = {
        "images": open_splits(restorer),
        "split": split,
        "num_images": num_images,
        "samplers": samplers,
        "seeds": seeds,
        "endpoint": endpoint,
        "batch_size": batch_size,
        "options": options,
    }
    out = out or os.path.join(output_folder(workdir), "generation")
    for folder in filter(None, (out, save_references)):
        with disk.refusals(folder):
            os.makedirs(folder, exist_ok=True)
    check_generation(restorer, generate, **settings)
    nets = choose_nets(features, restorer.model, num_images=generate)
    check_references(nets, by_net, save_references)
    start = time.perf_counter()
    found = evaluate_generated(
        restorer, generate, nets=nets, references=by_net, progress=True, **settings
    )
    seconds = time.perf_counter() - start
    with disk.refusals(out):
        content = write_generation(out, found, nets, seconds=seconds, command=command)
    if save_references:
        with disk.refusals(save_references):
            write_references(save_references, found[0].references)
    print(f"{out}: {seconds:.0f} s")
    return content


def write_generation(
    out: str,
    found: Sequence[GeneratedEvaluation],
    nets: Sequence[FeatureNet],
    *,
    seconds: float,
    command: str = "",
) -> dict[str, Any]:
    """Writes scores of generated images to a folder, and prints the table.

    The scores are added to those of other samplers in the folder, if these have the
    same settings; pictures are of the given ones.

    Args:
        out: the folder; it must exist.
        found: one evaluation per seed, from `evaluate_generated`.
        nets: the feature networks.
        seconds: the duration of the evaluation.
        command: the command that reproduces the results.

    Returns:
        The contents of `generation.json`.
    """
    first = found[0]
    by_seed = {
        str(each.settings["seed"]): {
            "distances": each.distances,
            "copies": each.copies,
        }
        for each in found
    }
    scores = [*by_seed.values()]
    content: dict[str, Any] = {
        "command": command,
        "seconds": round(seconds, 1),
        "settings": first.settings | {"seed": [int(seed) for seed in by_seed]},
        **over_seeds(np.mean, scores),
    }
    if len(found) > 1:
        content["standard_deviations"] = over_seeds(np.std, scores)
        content["by_seed"] = by_seed
    content["notes"] = first.notes
    path = os.path.join(out, "generation.json")
    content = add_to_earlier(path, content)
    page = _page(content, [net.name for net in nets if net.is_fid])
    print(page)
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, text.encode())
    write_atomically(os.path.join(out, "generation.md"), page.encode())
    figures.save_png(os.path.join(out, "generated.png"), _picture(first.images))
    rows = {}
    for name, pair in first.nearest.items():
        for label, pixels in zip((title(name), f"{title(name)}, nearest"), pair,
                                 strict=True):  # fmt: skip
            rows[label] = to_float(pixels)
    figures.save_png(os.path.join(out, "nearest.png"), figures.grid(rows))
    return content


def _page(content: Mapping[str, Any], fid: Sequence[str]) -> str:
    """Returns the table with a heading, explanations and notes."""
    settings = content["settings"]
    data, copies = settings["data"], settings["copies"]
    heading = f"{settings['generate']} generated images and {data['count']} images "
    heading += f"({data['source']}, {data['split']} split), step {settings['step']}"
    spreads = content.get("standard_deviations")
    if spreads:
        heading += f", means ± standard deviations over {len(settings['seed'])} seeds"
    table = generation_table(
        content["distances"], content["copies"], fid=fid, spreads=spreads
    )
    explanation = (
        "Copies are nearer to one of the "
        f"{copies['training_images']} training images than 99 % of the "
        f"{copies['test_images']} test images are (RMSE {copies['threshold']:.4f})."
    )
    lines = [heading, "", table, "", explanation]
    lines += [f"\nNote: {note}." for note in content["notes"]]
    return "\n".join(lines) + "\n"


def _picture(images: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draws the first images of each row, several lines of them."""
    lines: dict[str, Any] = {}
    for name, pixels in images.items():
        shown = to_float(pixels[: _COLUMNS * _ROWS])
        for row in range(0, len(shown), _COLUMNS):
            # Labels must differ; spaces are not seen.
            label = title(name) if not row else " " * len(lines)
            lines[label] = shown[row : row + _COLUMNS]
    return figures.grid(lines)
