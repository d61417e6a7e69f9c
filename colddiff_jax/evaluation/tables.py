"""Formats the results of an evaluation as a Markdown table and as histograms."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from colddiff_jax.evaluation.paper_tables import Number, Row

_TITLES = {"alg1": "Algorithm 1", "alg2": "Algorithm 2"}
_PIXELS = {"rmse": "RMSE", "psnr": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}
_DIGITS = {"rmse": 3, "psnr": 2, "ssim": 3, "ms_ssim": 3}


def title(name: str) -> str:
    """Returns the title of a sampler: "Algorithm 2, 5 steps" for "alg2:5"."""
    method, _, steps = name.partition(":")
    sampler, plus, _ = method.partition("+")
    parts = [_TITLES.get(sampler, sampler)]
    parts += ["consistent"] * bool(plus) + [f"{steps} steps"] * bool(steps)
    return ", ".join(parts)


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
    for net in distances:
        frechet, kernel = (
            ("FID", "KID") if net in fid else (f"Frechet, {net}", "kernel")
        )
        head += [frechet, kernel, "precision", "recall"]
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
            # It is 0 if the sets are small enough to be compared whole.
            spread = f" ± {own['kernel_std']:.1g}" if own["kernel_std"] else ""
            row += [f"{own['frechet']:.4g}", f"{own['kernel']:.3g}{spread}"]
            row += [f"{own['precision']:.3f}", f"{own['recall']:.3f}"]
        if paper:
            row += [_printed(number) for number in paper.get(sampler, ())] or [""] * 3
        rows.append(row)
    lines = [head, ["---"] * len(head), *rows]
    text = "\n".join(
        "|".join(["", *(f" {cell} " if cell else " " for cell in line), ""])
        for line in lines
    )
    printed = [number for row in paper.values() for number in row]
    if not all(number.verified for number in printed):
        text += "\n\n? from memory, not verified"
    return text


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
