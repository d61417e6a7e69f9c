"""Formats the results of an evaluation as Markdown tables and as histograms."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from colddiff_jax.evaluation.paper_tables import Number, Row
from colddiff_jax.restoration.samplers import title

_PIXELS = {"rmse": "RMSE", "psnr": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}
_DIGITS = {"rmse": 3, "psnr": 2, "ssim": 3, "ms_ssim": 3}


def table(
    pixels: Mapping[str, Mapping[str, float]],
    distances: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    fid: Sequence[str],
    paper: Mapping[str, Row],
) -> str:
    """Formats scores as a Markdown table, next to the paper's if it has any.

    Args:
        pixels: scores by sampler, from `Summary.pixels`.
        distances: by feature network and sampler, from `Summary.distances`.
        fid: the feature networks whose Frechet distance is FID.
        paper: the scores that the paper prints, by sampler.
    """
    scores = [name for name in _PIXELS if name in next(iter(pixels.values()))]
    head = ["", *(_PIXELS[score] for score in scores)]
    head += _distance_titles(distances, fid)
    if paper:
        head += ["paper: FID", "SSIM", "RMSE"]
    rows = []
    for sampler, values in pixels.items():
        row = [
            title(sampler),
            *(f"{values[score]:.{_DIGITS[score]}f}" for score in scores),
        ]
        for by_sampler in distances.values():
            own = by_sampler[sampler]
            row += _distance_cells(own, {"kernel": own["kernel_std"]})
        if paper:
            row += [_printed(number) for number in paper.get(sampler, ())] or [""] * 3
        rows.append(row)
    text = _markdown(head, rows)
    printed = [number for row in paper.values() for number in row]
    if not all(number.verified for number in printed):
        text += "\n\n? from memory, not verified"
    return text


def generation_table(
    distances: Mapping[str, Mapping[str, Mapping[str, float]]],
    copies: Mapping[str, Mapping[str, float]],
    *,
    fid: Sequence[str],
    spreads: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Formats scores of generated images as a Markdown table.

    Args:
        distances: by feature network and row, from `distances_between`.
        copies: by row, from `evaluate_generated`.
        fid: the feature networks whose Frechet distance is FID.
        spreads: standard deviations over seeds, of "distances" and "copies"; None for
            one seed, whose kernel distance has a spread of its own.
    """
    head = ["", *_distance_titles(distances, fid), "nearest, RMSE", "copies, %"]
    rows = []
    for name, own in copies.items():
        row = [title(name)]
        for net, by_row in distances.items():
            spread = {"kernel": by_row[name]["kernel_std"]}
            row += _distance_cells(
                by_row[name], spreads["distances"][net][name] if spreads else spread
            )
        over_seeds = spreads["copies"][name] if spreads else {}
        row += [
            _cell(own["rmse"], ".4f", over_seeds.get("rmse", 0)),
            _cell(100 * own["share"], ".1f", 100 * over_seeds.get("share", 0)),
        ]
        rows.append(row)
    return _markdown(head, rows)


def _distance_titles(nets: Iterable[str], fid: Sequence[str]) -> list[str]:
    titles = []
    for net in nets:
        frechet, kernel = (
            ("FID", "KID") if net in fid else (f"Frechet, {net}", "kernel")
        )
        titles += [frechet, kernel, "precision", "recall"]
    return titles


def _distance_cells(own: Mapping[str, float], spread: Mapping[str, float]) -> list[str]:
    formats = {"frechet": ".4g", "kernel": ".3g", "precision": ".3f", "recall": ".3f"}
    return [
        _cell(own[name], style, spread.get(name, 0)) for name, style in formats.items()
    ]


def _cell(value: float, style: str, spread: float) -> str:
    # The spread of a kernel distance is 0 if the sets are compared whole.
    return f"{value:{style}}" + (f" ± {spread:.1g}" if spread else "")


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(
        "|".join(["", *(f" {cell} " if cell else " " for cell in line), ""])
        for line in [head, ["---"] * len(head), *rows]
    )


def _printed(number: Number) -> str:
    return f"{number.value:g}{'' if number.verified else ' ?'}"


def histograms(
    path: str, per_image: Mapping[str, np.ndarray], samplers: Iterable[str]
) -> None:
    """Draws histograms of RMSE and SSIM over images, by sampler, as PNG.

    Args:
        path: the PNG file to write.
        per_image: scores by name, from `Summary.per_image`.
        samplers: the names of the samplers, in the order of the legend.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(10, 3.5), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("mse", "ssim"), strict=True):
        scores = {
            title(sampler): per_image[f"{metric}/{sampler}"] for sampler in samplers
        }
        if metric == "mse":
            scores = {name: np.sqrt(x) for name, x in scores.items()}
        values = np.concatenate([*scores.values()])
        bins = np.linspace(values.min(), max(values.max(), values.min() + 1e-3), 61)
        for name, x in scores.items():
            axes.hist(x, bins, histtype="step", label=name, linewidth=1.5)
        axes.set_xlabel("RMSE" if metric == "mse" else "SSIM")
        axes.set_ylabel("images")
        axes.legend()
    figure.savefig(path, format="png", dpi=100)
