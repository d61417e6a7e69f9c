"""Writes what an evaluation found: numbers, a table, pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colddiff_jax.evaluation.paper_tables import Number, Row

if TYPE_CHECKING:
    from colddiff_jax.evaluation.evaluate import Evaluation

_NAMES = {"alg1": "Algorithm 1", "alg2": "Algorithm 2"}
_PIXELS = {"rmse": "RMSE", "psnr": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}
_DIGITS = {"rmse": 3, "psnr": 2, "ssim": 3, "ms_ssim": 3}


def title(method: str) -> str:
    """What a table calls a method: "Algorithm 2, 5 steps" for "alg2:5"."""
    sampler, _, steps = method.partition(":")
    name = _NAMES.get(sampler, sampler)
    return f"{name}, {steps} steps" if steps else name


def table(
    pixels: Mapping[str, Mapping[str, float]],
    distances: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    fid: Sequence[str],
    paper: Mapping[str, Row],
) -> str:
    """The scores in Markdown, with the paper's beside them where it has any.

    Args:
        pixels: by method, the scores of `Summary.pixels`.
        distances: by feature network and method, those of `Summary.distances`.
        fid: the networks whose Frechet distance is FID.
        paper: by method, what the paper prints.
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
    for method, found in pixels.items():
        row = [
            title(method),
            *(f"{found[score]:.{_DIGITS[score]}f}" for score in scores),
        ]
        for by_method in distances.values():
            own = by_method[method]
            # Subsets that are the sets themselves do not differ.
            spread = f" ± {own['kernel_std']:.1g}" if own["kernel_std"] else ""
            row += [f"{own['frechet']:.4g}", f"{own['kernel']:.3g}{spread}"]
            row += [f"{own['precision']:.3f}", f"{own['recall']:.3f}"]
        if paper:
            row += [_printed(number) for number in paper.get(method, ())] or [""] * 3
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


def results(found: Sequence["Evaluation"], paper: Mapping[str, Row]) -> dict[str, Any]:
    """Everything that was found, for a JSON file.

    Args:
        found: one evaluation per seed, with otherwise the same settings.
        paper: by method, what the paper prints.
    """
    by_seed = {
        str(one.settings["seed"]): {
            "test_loss": one.loss,
            "pixels": one.pixels,
            "distances": one.distances,
        }
        for one in found
    }
    scores = [*by_seed.values()]
    together = _over_seeds(np.mean, scores)
    if len(found) > 1:
        together["standard_deviations"] = _over_seeds(np.std, scores)
        together["by_seed"] = by_seed
    return {
        "settings": found[0].settings | {"seed": [int(seed) for seed in by_seed]},
        **together,
        "paper": {
            method: {name: number._asdict() for name, number in row._asdict().items()}
            for method, row in paper.items()
        },
        "notes": found[0].notes,
    }


def _over_seeds(reduce: Callable[[Any], Any], scores: Sequence[Any]) -> Any:
    """Reduces the numbers at the same place of nested dictionaries."""
    first = scores[0]
    if isinstance(first, Mapping):
        return {
            name: _over_seeds(reduce, [one[name] for one in scores]) for name in first
        }
    return float(reduce(scores))


def chosen_by_rmse(squared_errors: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Numbers of the best, median and worst images, at most `count` of each."""
    order = np.argsort(squared_errors, kind="stable")
    count = min(count, len(order))
    middle = (len(order) - count) // 2
    return {
        "best": order[:count],
        "median": order[middle : middle + count],
        "worst": order[::-1][:count],
    }


def histograms(
    path: str, per_image: Mapping[str, np.ndarray], methods: Iterable[str]
) -> None:
    """Draws how RMSE and SSIM of single images are spread, by method, as PNG.

    Args:
        path: of the picture.
        per_image: the scores of `Summary.per_image`.
        methods: their names, in the order of a table.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(10, 3.5), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("mse", "ssim"), strict=True):
        scores = {title(method): per_image[f"{metric}/{method}"] for method in methods}
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
