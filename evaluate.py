"""Scores a trained run on test images: the rows of the paper's tables.

python evaluate.py --workdir=runs/mnist_blur-cpu
python evaluate.py --workdir=runs/mnist_blur-cpu --num_images=1000 --seeds=0,1,2
python evaluate.py --workdir=runs/mnist_blur-cpu --samplers=direct,alg2,alg2:5,heun:5
python evaluate.py --workdir=runs/cifar_blur --features=weights/cifar10_resnet56.npz
python evaluate.py --workdir=runs/cifar_blur --protocol=published
python evaluate.py --workdir=runs/flowers --folder=holidays/
python evaluate.py --workdir=flowers.safetensors --folder=holidays/

Writes results.json, results.md, grids of the best, median and worst images, and
histograms to `evaluation` in the run folder, or to --out. An evaluation that was
interrupted goes on when the same command is given again.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import time
from typing import Any

from absl import flags

from colddiff_jax import disk, figures, programs
from colddiff_jax.data import ImageSplits, images_in_folder
from colddiff_jax.errors import InputError
from colddiff_jax.evaluation import report
from colddiff_jax.evaluation.checks import check_settings
from colddiff_jax.evaluation.evaluate import Evaluation, evaluate
from colddiff_jax.evaluation.feature_nets import choose_nets
from colddiff_jax.evaluation.image_set import (
    ImageSet,
    check_folder,
    folder_of,
    split_of,
)
from colddiff_jax.evaluation.methods import DEFAULT
from colddiff_jax.evaluation.paper_tables import data_set_name, rows_for
from colddiff_jax.evaluation.protocol import parse_protocol
from colddiff_jax.images import to_float
from colddiff_jax.metrics.reference import load_reference, save_reference
from colddiff_jax.model_file import read_model
from colddiff_jax.runs import Run, load_run, outputs_of
from colddiff_jax.writers import write_atomically

_WORKDIR = flags.DEFINE_string(
    "workdir", "", "run folder of train.py, or file of colddiff_jax.export"
)
_OUT = flags.DEFINE_string("out", "", "folder to write to; default WORKDIR/evaluation")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
_SPLIT = flags.DEFINE_enum("split", "test", ["test", "train"], "which images to score")
_FOLDER = flags.DEFINE_string("folder", "", "score the images in this folder instead")
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 0, "the first so many of them; 0: all", lower_bound=0
)
_SAMPLERS = flags.DEFINE_list(
    "samplers", list(DEFAULT), "direct, alg1, alg2, heun, ab2; alg2:5 makes five steps"
)
_ENDPOINT = flags.DEFINE_enum(
    "endpoint",
    "fixed",
    ["fixed", "estimated"],
    "of a blend with noise, a colour or images: held, or solved for at every step",
)
_SEEDS = flags.DEFINE_list(
    "seeds", [], "of the random part of the degradation; default that of the run"
)
_FEATURES = flags.DEFINE_list(
    "features",
    ["auto"],
    "feature networks for distances between sets of images: inception, classifier "
    "(trained on the run's images), files of weights (.npz, .pth), or none; auto: "
    "Inception if its file is found, and the classifier for grey images with labels",
)
_REFERENCES = flags.DEFINE_list(
    "references", [], "files to compare sets with, instead of the clean images"
)
_SAVE_REFERENCES = flags.DEFINE_string(
    "save_references", "", "folder to write statistics of the clean images to"
)
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    "sound",
    "sound, published for the faults of the official evaluation, or faults by name",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 200, "images restored at once, over all devices", lower_bound=1
)


def main(argv: list[str]) -> None:
    """Evaluates by the flags."""
    if len(argv) > 1:
        raise InputError(f"unexpected argument {argv[1]!r}; options begin with --")
    if not _WORKDIR.value:
        raise InputError("--workdir is missing; name the run folder of train.py")
    references = [load_reference(path) for path in _REFERENCES.value]
    run, images = _load()
    settings: dict[str, Any] = {
        "images": images,
        "num_images": _NUM_IMAGES.value,
        "samplers": _SAMPLERS.value,
        "seeds": _seeds(),
        "protocol": parse_protocol(_PROTOCOL.value, run.config),
        "endpoint": _ENDPOINT.value,
        "batch_size": _BATCH_SIZE.value,
    }
    count = len(check_settings(run, **settings))
    out = _OUT.value or os.path.join(outputs_of(_WORKDIR.value), "evaluation")
    with disk.refusals(out):
        os.makedirs(out, exist_ok=True)
    nets = choose_nets(_FEATURES.value, run.experiment, run.config, num_images=count)
    if _SAVE_REFERENCES.value and not nets:
        raise InputError(
            "--save_references saves what feature networks see; name one by --features"
        )
    by_net = {reference.feature_net: reference for reference in references}
    if len(by_net) < len(references):
        raise InputError(
            "--references names two files for one feature network; choose one"
        )
    unused = by_net.keys() - {net.name for net in nets}
    if unused:
        raise InputError(
            f"a reference is for the features of {min(unused)}, which --features does "
            "not name"
        )
    part = os.path.join(out, "part")
    start = time.perf_counter()
    found = evaluate(
        run,
        part,
        **settings,
        nets=nets,
        references=by_net,
        progress="evaluating",
    )
    seconds = time.perf_counter() - start
    fid = [net.name for net in nets if net.is_fid]
    with disk.refusals(out):
        _write(run, out, found, fid, seconds)
        # These folders hold batches of scores and nothing else.
        for one in found:
            shutil.rmtree(os.path.join(part, str(one.settings["seed"])))
        with contextlib.suppress(OSError):  # Other seeds, of a command cut short.
            os.rmdir(part)


def _seeds() -> list[int]:
    """The seeds that are asked for."""
    for seed in _SEEDS.value:
        if not seed.isdecimal():
            raise InputError(f"--seeds must be integers from 0 on, got {seed!r}")
    return list(dict.fromkeys(int(seed) for seed in _SEEDS.value))


def _load() -> tuple[Run, ImageSet]:
    """The run, and the images to score."""
    workdir, folder = _WORKDIR.value, _FOLDER.value
    if folder and _SPLIT.present:
        raise InputError("--split and --folder name two sets of images; choose one")
    splits = None
    if folder and os.path.isfile(workdir):
        # The images that the model was trained on need not be here.
        about = read_model(workdir).about
        check_folder(about["config"]["model"].get("num_classes", 0))
        found = images_in_folder(folder, channels=about["channels"])
        splits = ImageSplits(train=found, test=found)
    run = load_run(workdir, _CHECKPOINT.value, splits=splits)
    if not folder:
        return run, split_of(run.experiment, _SPLIT.value)
    return run, folder_of(run.experiment, folder, images=splits and splits.test)


def _write(
    run: Run, out: str, found: list[Evaluation], fid: list[str], seconds: float
) -> None:
    """Writes all files to the folder `out` and prints the table."""
    first = found[0]
    data = first.settings["data"]
    # The paper's are of the test images.
    paper = (
        rows_for(run.config, data_set_name(run.config))
        if data["split"] == "test"
        else {}
    )
    command = shlex.join(["python", *sys.argv])
    results = {"command": command, "seconds": round(seconds, 1)}
    results |= report.results(found, paper)
    table = report.table(results["pixels"], results["distances"], fid=fid, paper=paper)
    split = f", {data['split']} split" if data["split"] else ""
    heading = f"{data['count']} images ({data['source']}{split}), step {run.step}"
    if len(found) > 1:
        heading += f", means over {len(found)} seeds"
    if faults := first.settings["faults"]:
        heading += f", with the faults {', '.join(faults)}"
    lines = [heading, "", table, *(f"\nNote: {note}." for note in first.notes)]
    page = "\n".join(lines) + "\n"
    print(page)
    text = json.dumps(results, indent=2) + "\n"
    write_atomically(os.path.join(out, "results.json"), text.encode())
    write_atomically(os.path.join(out, "results.md"), page.encode())
    for group, rows in first.examples.items():
        titled = {report.title(name): to_float(x) for name, x in rows.items()}
        figures.save_png(os.path.join(out, f"{group}.png"), figures.grid(titled))
    try:
        path = os.path.join(out, "histograms.png")
        report.histograms(path, first.per_image, first.pixels)
    except ImportError:
        print("no histograms: they need Matplotlib, pip install 'colddiff-jax[plots]'")
    if _SAVE_REFERENCES.value:
        os.makedirs(_SAVE_REFERENCES.value, exist_ok=True)
        for net, reference in first.references.items():
            name = re.sub(r"\W+", "_", f"{reference.name} {net}").strip("_")
            path = os.path.join(_SAVE_REFERENCES.value, f"{name}.npz")
            save_reference(path, reference)
            print(path)
    print(f"{out}: {seconds:.0f} s")


if __name__ == "__main__":
    programs.run(main)
