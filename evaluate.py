"""Scores a trained run on test images: the rows of the paper's tables.

python evaluate.py --workdir=runs/mnist_blur-cpu
python evaluate.py --workdir=runs/mnist_blur-cpu --num_images=1000 --seeds=0,1,2
python evaluate.py --workdir=runs/mnist_blur-cpu --samplers=direct,alg2,alg2:5,heun:5
python evaluate.py --workdir=runs/cifar_blur --features=weights/cifar10_resnet56.npz
python evaluate.py --workdir=runs/cifar_blur --protocol=published
python evaluate.py --workdir=runs/flowers --folder=holidays/
python evaluate.py --workdir=flowers.safetensors --folder=holidays/

Writes results.json, results.md, grids of the best, median and worst images, and
histograms to `evaluation` in the run folder, or to --out. The same command resumes an
interrupted evaluation.
"""

import shlex
import sys
from typing import Any

from absl import flags

from colddiff_jax.cli import program
from colddiff_jax.evaluation import evaluate_run
from colddiff_jax.sampling import SAMPLERS

flags.DEFINE_string("workdir", "", "run folder of train.py, or an exported file")
flags.DEFINE_string("out", "", "folder to write to; default WORKDIR/evaluation")
flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
flags.DEFINE_enum("split", None, ["test", "train"], "images to score; default test")
flags.DEFINE_string("folder", "", "score the images in this folder instead")
flags.DEFINE_integer("num_images", 0, "number of images from the first on; 0: all", 0)
_HELP = f"{', '.join(SAMPLERS)}; alg2:5 takes five steps, and the predictions of "
_HELP += "alg2+consistent agree with the images that they are made from; default "
_HELP += "direct,alg1,alg2, or ihd for a model with objective.target previous"
flags.DEFINE_list("samplers", None, _HELP)
flags.DEFINE_enum(
    "endpoint",
    "fixed",
    ["fixed", "estimated"],
    "endpoint of a blend with noise, a colour or images: fixed, or estimated at every "
    "step",
)
flags.DEFINE_list(
    "seeds", [], "seeds of the degradation and the samplers; default the run's seed"
)
flags.DEFINE_list(
    "features",
    ["auto"],
    "feature networks for distances between sets of images: inception, classifier "
    "(trained on the run's images), files of weights (.npz, .pth), or none; auto: "
    "Inception if its file is found, and the classifier for grey images with labels",
)
flags.DEFINE_list("references", [], "files to compare with instead of clean images")
flags.DEFINE_string("save_references", "", "folder for statistics of the clean images")
flags.DEFINE_string(
    "protocol",
    "sound",
    "sound, published (the faults of the official evaluation), or names of faults",
)
flags.DEFINE_integer("batch_size", 200, "images at once, over all devices", 1)
_OPTIONS = ["out", "checkpoint", "split", "folder", "num_images", "samplers"]
_OPTIONS += ["endpoint", "features", "references", "save_references", "protocol"]
_OPTIONS += ["batch_size"]


def main() -> None:
    """Evaluates by the flags."""
    given = flags.FLAGS
    options: dict[str, Any] = {name: given[name].value for name in _OPTIONS}
    seeds = program.integers("seeds", given.seeds)
    command = shlex.join(["python", *sys.argv])
    evaluate_run(given.workdir, seeds=seeds, command=command, **options)


if __name__ == "__main__":
    program.run(main, required=("workdir",))
