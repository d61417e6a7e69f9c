"""Writes docs/more_results.md: the scores of the models that a CPU core trained.

    python -m benchmarks.restoration_page

The scores are those of benchmarks.restoration, in benchmarks/results/restoration; the
text is here.
"""

import json
import pathlib

from benchmarks import timing
from colddiff_jax.evaluation.paper_tables import Number, Row
from colddiff_jax.evaluation.tables import table

DOCS = pathlib.Path(__file__).parent.parent / "docs"
RESULTS = timing.RESULTS / "restoration"
TITLES = {
    "mnist_mask-cpu": "MNIST, mask, consistent",
    "fashion_blur-cpu": "Fashion-MNIST, blur to flat grey",
    "fashion_mask-cpu": "Fashion-MNIST, mask",
    "fashion_pixelate-cpu": "Fashion-MNIST, 4 x 4 pixels",
    "cifar_snow-cpu": "CIFAR-10, snow",
    "cifar_desaturate-cpu": "CIFAR-10, lost colour",
    "cifar_pixelate-cpu": "CIFAR-10, 4 x 4 pixels",
    "cifar_mask-cpu": "CIFAR-10, mask",
    "afhq_blur-cpu": "Cats, blur",
    "afhq_mask-cpu": "Cats, mask",
    "afhq_pixelate-cpu": "Cats, 8 x 8 pixels",
}
COLUMNS = ("direct", "Algorithm 2", "5 steps", "5 steps, consistent")
INTRODUCTION = """# More results: the numbers

Written by `python -m benchmarks.restoration_page`; [results.md](results.md) says what
they mean. Models of the variants `:cpu`, of 2.6 million parameters, each trained by the
squared error on one of two CPU cores, with seed 0, by
`python -m benchmarks.restoration`. All test images of each set: 10,000, and 500 cats of
64 x 64 pixels.

A cell is RMSE / SSIM / Frechet distance. Distances can be compared within a row alone.
They are computed from features of a classifier trained on the set (MNIST,
Fashion-MNIST), of a ResNet-56 of CIFAR-10, or of a MobileNet of ImageNet (cats), and
none is the paper's FID. "Algorithm 2" has as many steps as the table below has.

"""
PICTURE = """
![Frechet distance over RMSE, from one prediction to all steps](images/results/more.png)

"""


def summary(results: dict[str, dict]) -> str:
    """Returns a row per model: the direct prediction and Algorithm 2."""
    lines = [f"| | images seen | degraded: RMSE | {' | '.join(COLUMNS)} |"]
    lines += [f"|{' --- |' * (len(COLUMNS) + 3)}"]
    for name, result in results.items():
        (distances,) = result["distances"].values()
        cells = []
        for samplers in (
            ("direct",),
            ("alg2", "alg2:20", "alg2:10"),
            ("alg2:5",),
            ("alg2+consistent:5",),
        ):
            found = next((s for s in samplers if s in distances), None)
            cells.append(_cell(result["pixels"], distances, found))
        degraded = f"{result['pixels']['degraded']['rmse']:.3f}"
        training = result["settings"]["config"]["training"]
        seen = f"{training['num_steps'] * training['batch_size']:,}"
        lines.append(f"| {TITLES[name]} | {seen} | {degraded} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(pixels: dict, distances: dict, sampler: str | None) -> str:
    """Returns the scores of a sampler; nothing if there is none."""
    if sampler is None:
        return ""
    scores, own = pixels[sampler], distances[sampler]
    return f"{scores['rmse']:.3f} / {scores['ssim']:.3f} / {own['frechet']:.4g}"


def paper_rows(result: dict) -> dict[str, Row]:
    """Returns the paper's scores by method, as an evaluation wrote them."""
    return {
        method: Row(*(Number(**row[name]) for name in ("fid", "ssim", "rmse")))
        for method, row in result["paper"].items()
    }


def section(name: str, result: dict) -> str:
    """Returns all scores of a model, a picture and its commands."""
    whole = table(
        result["pixels"], result["distances"], fid=[], paper=paper_rows(result)
    )
    return f"""## {TITLES[name]}

{whole}

![The eight test images with median errors](images/results/{name}.png)

    {result["training"]}
    {result["command"]}

([all numbers and settings](../benchmarks/results/restoration/{name}.json))
"""


def page(results: dict[str, dict]) -> str:
    """Returns the page of all results."""
    sections = [section(name, result) for name, result in results.items()]
    return INTRODUCTION + summary(results) + "\n" + PICTURE + "\n".join(sections)


def load() -> dict[str, dict]:
    """Returns the results that are there, by name, in the order of the page."""
    paths = {name: RESULTS / f"{name}.json" for name in TITLES}
    return {n: json.loads(p.read_text()) for n, p in paths.items() if p.exists()}


if __name__ == "__main__":
    (DOCS / "more_results.md").write_text(page(load()))
