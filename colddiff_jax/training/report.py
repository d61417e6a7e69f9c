"""What is written and said of an evaluation."""

import math
import os
from collections.abc import Mapping, Sequence

from colddiff_jax import figures
from colddiff_jax.training.evaluation import Evaluation
from colddiff_jax.writers import Writer


def scores_of(evaluation: Evaluation) -> dict[str, float]:
    """The numbers of an evaluation by the names that the logs give them."""
    found = {"test_loss": evaluation.loss}
    for i, loss in enumerate(evaluation.quarters, start=1):
        if not math.isnan(loss):
            found[f"test_loss_quarter_{i}"] = loss
    found |= {f"rmse_{method}": value for method, value in evaluation.rmse.items()}
    found |= {f"ssim_{method}": value for method, value in evaluation.ssim.items()}
    return found


def report(
    evaluation: Evaluation,
    numbers: Mapping[str, float],
    step: int,
    workdir: str,
    logs: Sequence[Writer],
) -> str:
    """Writes an evaluation and its grid, and returns the line to print."""
    picture = figures.grid(evaluation.examples)
    path = os.path.join(workdir, "grids", f"step_{step:08d}.png")
    figures.save_png(path, picture)
    for log in logs:
        log.scalars(step, numbers)
        log.image(step, "grid", picture)
    rmse = "  ".join(
        f"{method} {value:.3f}" for method, value in evaluation.rmse.items()
    )
    return f"step {step}  test loss {evaluation.loss:.4f}  RMSE {rmse}  {path}"
