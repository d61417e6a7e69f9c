"""Scores a trained run on test images, or the images that it generates.

python evaluate.py --workdir=runs/mnist_blur-cpu
python evaluate.py --workdir=runs/mnist_blur-cpu --num_images=1000 --seeds=0,1,2
python evaluate.py --workdir=runs/mnist_blur-cpu --samplers=direct,alg2,alg2:5,heun:5
python evaluate.py --workdir=runs/cifar_blur --features=weights/cifar10_resnet56.npz
python evaluate.py --workdir=runs/cifar_blur --protocol=published
python evaluate.py --workdir=runs/flowers --folder=holidays/
python evaluate.py --workdir=flowers.safetensors --folder=holidays/
python evaluate.py --workdir=runs/noise --generate=1000 --samplers=alg2,ddim:50

Writes results.json, results.md, grids of the best, median and worst images, and
histograms to `evaluation` in the run folder, or to --out. The same command resumes an
interrupted evaluation. With --generate, writes scores and pictures to `generation`.
"""

import shlex
import sys
from typing import Any

from absl import flags

from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.evaluation import evaluate_generated_run, evaluate_run
from colddiff_jax.sampling import SAMPLERS

_HELP = "run folder, exported file, or name of a model that comes along"
flags.DEFINE_string("workdir", "", _HELP)
flags.DEFINE_string("out", "", "folder to write to; default in the run folder")
flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
_HELP = "images to score; default test, or train for --generate"
flags.DEFINE_enum("split", None, ["test", "train"], _HELP)
flags.DEFINE_string("folder", "", "score the images in this folder instead")
flags.DEFINE_integer("num_images", 0, "number of images from the first on; 0: all", 0)
_HELP = f"{', '.join(SAMPLERS)}; alg2:5 takes five steps, and the predictions of "
_HELP += "alg2+consistent agree with the images that they are made from; "
_HELP += "ddim+ancestral draws noise anew; default "
_HELP += "direct,alg1,alg2, or ihd for a model with objective.target previous"
flags.DEFINE_list("samplers", None, _HELP)
_HELP = (
    "of a blend: fixed or estimated; default fixed, to generate from noise estimated"
)
flags.DEFINE_enum("endpoint", None, ["fixed", "estimated"], _HELP)
_HELP = "score so many generated images instead, by alg2 unless --samplers is given"
flags.DEFINE_integer("generate", 0, _HELP, 0)
flags.DEFINE_float("eta", None, "of generation by ddim: fraction of fresh noise", 0, 1)
flags.DEFINE_float("prior_noise", None, "of generation: std of noise on a prior", 0.0)
flags.DEFINE_list("seeds", [], "seeds of all random draws; default the run's seed")
flags.DEFINE_list(
    "features",
    ["auto"],
    "feature networks for distances between sets of images: inception, classifier "
    "(trained on the run's images), files of weights (.npz, .pth), or none; auto: "
    "Inception if its file is found, and the classifier for grey images with labels",
)
flags.DEFINE_list("references", [], "files to compare with instead of clean images")
flags.DEFINE_string("save_references", "", "folder for statistics of the clean images")
_HELP = "sound, published (the faults of the official evaluation), or names of faults"
flags.DEFINE_string("protocol", "sound", _HELP)
flags.DEFINE_integer("batch_size", 200, "images at once, over all devices", 1)
_SHARED = ["out", "checkpoint", "split", "num_images", "samplers", "endpoint"]
_SHARED += ["features", "references", "save_references", "batch_size"]


def main() -> None:
    """Evaluates by the flags."""
    given = flags.FLAGS
    names = [*_SHARED, "folder", "protocol"]
    options: dict[str, Any] = {n: given[n].value for n in names if given[n].present}
    options["seeds"] = program.integers("seeds", given.seeds)
    options["command"] = shlex.join(["python", *sys.argv])
    if given.generate:
        used = ["workdir", "generate", "seeds", "eta", "prior_noise", *_SHARED]
        program.refuse_others(used, "with --generate")
        options["prior_noise"] = given.prior_noise
        options["options"] = {} if given.eta is None else {"eta": given.eta}
        evaluate_generated_run(given.workdir, given.generate, **options)
        return
    for name in ("eta", "prior_noise"):
        if given[name].present:
            raise InputError(f"--{name} needs --generate")
    evaluate_run(given.workdir, **options)


if __name__ == "__main__":
    program.run(main, required=("workdir",))
