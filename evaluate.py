"""Scores a trained run on test images: degraded, direct, Algorithm 1, Algorithm 2.

python evaluate.py --workdir=runs/mnist_blur-cpu
python evaluate.py --workdir=runs/mnist_blur-cpu --num_images=1000 --batch_size=250

Writes results.json and grid.png to the run folder, or to --out, and prints the table.
"""

import json
import os
import time

import jax
from absl import flags

import colddiff_jax
from colddiff_jax import figures, programs
from colddiff_jax.errors import InputError
from colddiff_jax.runs import load_run
from colddiff_jax.training.evaluation import Evaluation, Evaluator
from colddiff_jax.training.options import METHODS
from colddiff_jax.writers import write_atomically

_WORKDIR = flags.DEFINE_string("workdir", "", "run folder of train.py")
_OUT = flags.DEFINE_string("out", "", "folder to write to; default the run folder")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 0, "test images to score; 0: all", 0)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 200, "images restored at once, over all devices", 1
)


def main(argv: list[str]) -> None:
    """Evaluates by the flags."""
    if len(argv) > 1:
        raise InputError(f"unexpected argument {argv[1]!r}; options begin with --")
    if not _WORKDIR.value:
        raise InputError("--workdir is missing; name the run folder of train.py")
    run = load_run(_WORKDIR.value, _CHECKPOINT.value)
    experiment = run.experiment
    available = len(experiment.splits.test)
    if _NUM_IMAGES.value > available:
        raise InputError(
            f"--num_images must be at most {available}, got {_NUM_IMAGES.value}"
        )
    evaluator = Evaluator(experiment, batch_size=_BATCH_SIZE.value)
    num_images = _NUM_IMAGES.value or available
    start = time.perf_counter()
    evaluation = evaluator(run.params, num_images, progress="evaluating")
    seconds = time.perf_counter() - start
    out = _OUT.value or _WORKDIR.value
    os.makedirs(out, exist_ok=True)
    results = {
        "workdir": _WORKDIR.value,
        "step": run.step,
        "num_images": num_images,
        "seed": experiment.seed,
        "test_loss": evaluation.loss,
        "rmse": evaluation.rmse,
        "ssim": evaluation.ssim,
        "seconds": round(seconds, 1),
        "versions": {"colddiff_jax": colddiff_jax.__version__, "jax": jax.__version__},
        "device": f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}",
    }
    text = json.dumps(results, indent=2) + "\n"
    write_atomically(os.path.join(out, "results.json"), text.encode())
    figures.save_png(os.path.join(out, "grid.png"), figures.grid(evaluation.examples))
    print(f"{num_images} test images, step {run.step}, {seconds:.0f} s\n")
    print(_table(evaluation))


def _table(evaluation: Evaluation) -> str:
    """The scores as a Markdown table."""
    lines = ["| | RMSE | SSIM |", "| --- | --- | --- |"]
    names = ("degraded", "direct", "Algorithm 1", "Algorithm 2")
    for method, name in zip(METHODS, names, strict=True):
        rmse, ssim = evaluation.rmse[method], evaluation.ssim[method]
        lines.append(f"| {name} | {rmse:.3f} | {ssim:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    programs.run(main)
