"""Restores test images or photographs with a trained model.

python sample.py --workdir=runs/digits_blur
python sample.py --workdir=photo-deblur --photo=blurry.jpg --photo=folder
python sample.py --workdir=runs/digits_blur --sampler=heun --steps=5 --spacing=change
python sample.py --workdir=runs/with_classes --label=3 --guidance=2
python sample.py --workdir=runs/mnist_generate --generate=64 --gif

Writes a grid (clean, degraded, restored) of test images to samples/ in the run folder,
with --arrays also npz, with --trajectory a strip, with --gif an animation, and prints
RMSE and SSIM; restored photographs beside the originals, never over a file; generated
images to generated/ in the run folder, with --files as a folder. --out names another
folder. File names say the options and the seed, and a taken name gets a number.
"""

from typing import Any

from absl import flags

from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.restoration.generate_run import generate_run
from colddiff_jax.restoration.photo_files import restore_photos
from colddiff_jax.restoration.sample_run import SampleOptions, sample_run
from colddiff_jax.sampling import SAMPLERS

_HELP = "run folder, exported file, or name of a model that comes along"
flags.DEFINE_string("workdir", "", _HELP)
flags.DEFINE_string("out", "", "folder to write to; default WORKDIR/samples")
flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
flags.DEFINE_integer("num_images", None, "test images to restore; default 8 or all", 1)
flags.DEFINE_integer("batch_size", 64, "images at once, over all devices", 1)
flags.DEFINE_integer("seed", 0, "seed of the degradation and the sampler")
flags.DEFINE_bool("arrays", False, "also write the images as npz")
flags.DEFINE_bool("trajectory", False, "also write a strip of the trajectory")
flags.DEFINE_bool("gif", False, "also write an animation of the trajectory")
flags.DEFINE_multi_string("photo", None, "restore a file or a folder; repeatable")
flags.DEFINE_bool("degrade", False, "the photographs are clean: degrade them first")
flags.DEFINE_float("noise", None, "std of photographs' noise, white - black = 2", 1e-6)
flags.DEFINE_bool("enlarge", False, "photographs are small: a pixel for each block")
flags.DEFINE_string("mask", "", "image that is white where photographs lack pixels")
flags.DEFINE_integer("generate", 0, "generate this many images from nothing", 0)
flags.DEFINE_bool("files", False, "write every generated image as a PNG file")
flags.DEFINE_bool("interpolate", False, "generated images change from one to another")
flags.DEFINE_float("prior_noise", None, "std of noise on what a prior draws", 0.0)
_PHOTOS = ["out", "checkpoint", "sampler", "steps", "start", "seed", "degrade"]
_PHOTOS += ["endpoint", "eta", "consistent", "mask", "noise", "enlarge"]
_OUTPUT = ["out", "checkpoint", "batch_size", "seed", "arrays", "trajectory", "gif"]
_GENERATED = ["files", "interpolate", "prior_noise"]
_WALK = ["sampler", "steps", "endpoint", "label", "guidance", "eta"]

_HELP = "default that of the model, mostly alg2; direct: a single prediction"
flags.DEFINE_enum("sampler", None, [*SAMPLERS], _HELP)
_HELP = "of the sampler; 0: all. Each calls the network once, and with heun twice, "
flags.DEFINE_integer("steps", 0, _HELP + "except for the last", 0)
_HELP = "of steps: equal stride (default), ratios of severity, or changes of images"
flags.DEFINE_enum("spacing", None, ["stride", "log", "change"], _HELP)
_HELP = (
    "of a blend: fixed or estimated; default fixed, to generate from noise estimated"
)
flags.DEFINE_enum("endpoint", None, ["fixed", "estimated"], _HELP)
flags.DEFINE_bool("consistent", False, "make predictions agree with their images")
_HELP = "class of all images, by name or number, or own for each image's own"
flags.DEFINE_string("label", None, _HELP)
flags.DEFINE_float("guidance", None, "scale of guidance by the label; 0: none", 0.0)
flags.DEFINE_float("eta", None, "with ddim, the fraction of fresh noise", 0.0, 1.0)
_HELP = "the step to degrade to and to start at; 0: T; auto: an estimate for each photo"
flags.DEFINE(program.StepParser(), "start", 0, _HELP)


def main() -> None:
    """Samples by the flags."""
    given = flags.FLAGS
    if given.photo:
        program.refuse_others(["workdir", "photo", *_PHOTOS], "with --photo")
        options: dict[str, Any] = {name: given[name].value for name in _PHOTOS}
        restore_photos(given.workdir, given.photo, **options)
        return
    of_photos = [n for n in ("degrade", "mask", "noise", "enlarge") if given[n].value]
    if of_photos or given.start == "auto":
        raise InputError(f"--{(of_photos or ['start=auto'])[0]} needs --photo")
    options = {name: given[name].value for name in SampleOptions._fields}
    options["sampler"] = given.sampler or ""
    walk = SampleOptions(**options)
    output: dict[str, Any] = {name: given[name].value for name in _OUTPUT}
    if given.generate:
        used = ["workdir", "generate", *_OUTPUT, *_GENERATED, *_WALK]
        program.refuse_others(used, "with --generate")
        output |= {name: given[name].value for name in _GENERATED}
        generate_run(given.workdir, given.generate, walk, **output)
        return
    for name in _GENERATED:
        if given[name].present:
            raise InputError(f"--{name} needs --generate")
    sample_run(given.workdir, walk, num_images=given.num_images, **output)


if __name__ == "__main__":
    program.run(main, required=("workdir",))
