"""Scores the estimate of the step of photographs, and what its errors cost.

    python -m benchmarks.photo_severity --data=photos

The photographs are those of `benchmarks.photo_quality`. The costs are means over all of
them, of what is lost by one prediction from the estimated step instead of the true one.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial

import numpy as np

import colddiff_jax as cd
from benchmarks import photo_quality, timing
from benchmarks.photo_quality import Images


def error_and_cost(
    restorer: cd.Restorer, degraded: Images, clean: Images, t: int
) -> dict[str, float]:
    """Returns the errors of the estimate, as fractions of T, and their costs."""
    T = restorer.degradation.num_steps
    steps = restorer.estimate_step(degraded)
    errors = np.abs(np.array(steps) - t) / T
    lost = {"PSNR": 0.0, "SSIM": 0.0}
    for x, y, step in zip(degraded, clean, steps, strict=True):
        if step == t:  # Nothing is lost.
            continue
        ours, best = (
            photo_quality.scores([restorer.restore(x, s, sampler="direct")], [y])
            for s in (step, t)
        )
        for name in lost:
            lost[name] += best[name] - ours[name]
    return {
        "mean error": round(float(errors.mean()), 4),
        "largest error": round(float(errors.max()), 4),
        "wrong": round(float((errors > 0).mean()), 4),
        **{f"cost in {name}": round(lost[name] / len(clean), 4) for name in lost},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the folder of the test sets")
    parser.add_argument("--num_photos", type=int, help="only the first ones")
    flags = parser.parse_args()
    folder = os.path.join(flags.data, "cbsd68")
    clean = photo_quality.read_photographs(folder, flags.num_photos)
    deblur, unjpeg = cd.load("photo-deblur"), cd.load("photo-unjpeg")
    tasks: list[tuple[str, cd.Restorer, Callable[[], Images], int]] = [
        (
            f"blur of {width} px",
            deblur,
            partial(photo_quality.blurred, clean, float(width)),
            photo_quality.step_of_blur(width),
        )
        for width in photo_quality.WIDTHS
    ] + [
        (
            f"JPEG quality {quality}",
            unjpeg,
            partial(photo_quality.compressed, clean, quality),
            photo_quality.step_of_quality(quality),
        )
        for quality in photo_quality.QUALITIES
    ]
    rows: dict[str, dict[str, float]] = {}
    for name, restorer, degrade, t in tasks:
        rows[name] = error_and_cost(restorer, degrade(), clean, t)
        print(name, rows[name], flush=True)
    timing.write("photo_quality/severity", {"photographs": len(clean), "rows": rows})


if __name__ == "__main__":
    main()
