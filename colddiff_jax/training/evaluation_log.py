"""Logs an evaluation during training: scores, a grid of images, a line of text."""

import math
import os
from collections.abc import Mapping, Sequence

from colddiff_jax.io import figures
from colddiff_jax.io.images import to_float
from colddiff_jax.restoration.samplers import title
from colddiff_jax.training.evaluator import HeldOutScores
from colddiff_jax.training.writers import Writer


def scores_by_name(scores: HeldOutScores) -> dict[str, float]:
    """Returns the scores of an evaluation, named as in the logs."""
    found = {"test_loss": scores.loss}
    for i, loss in enumerate(scores.quarters, start=1):
        if not math.isnan(loss):
            found[f"test_loss_quarter_{i}"] = loss
    found |= {f"rmse_{sampler}": value for sampler, value in scores.rmse.items()}
    found |= {f"ssim_{sampler}": value for sampler, value in scores.ssim.items()}
    return found


def log_evaluation(
    scores: HeldOutScores,
    by_name: Mapping[str, float],
    step: int,
    workdir: str,
    logs: Sequence[Writer],
) -> str:
    """Writes an evaluation and its grid, and returns the line to print."""
    picture = figures.grid(
        {title(name): to_float(x) for name, x in scores.examples.items()}
    )
    path = os.path.join(workdir, "grids", f"step_{step:08d}.png")
    figures.save_png(path, picture)
    for log in logs:
        log.scalars(step, by_name)
        log.image(step, "grid", picture)
    rmse = "  ".join(
        f"{title(sampler)} {value:.3f}" for sampler, value in scores.rmse.items()
    )
    return f"step {step}  test loss {scores.loss:.4f}  RMSE {rmse}  {path}"
