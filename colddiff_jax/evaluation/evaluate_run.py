"""Evaluates a run from its folder or file, and writes the results."""

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from typing import Any, Literal

from colddiff_jax.checks import InputError
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.evaluate import evaluate
from colddiff_jax.evaluation.output import write_references, write_results
from colddiff_jax.evaluation.protocol import parse_protocol
from colddiff_jax.evaluation.settings import check_settings
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.io import disk
from colddiff_jax.metrics.reference import Reference, load_reference
from colddiff_jax.restoration.image_set import (
    ImageSet,
    images_of_folder,
    images_of_run,
)
from colddiff_jax.restoration.load import Restorer, load_run, output_folder
from colddiff_jax.restoration.samplers import DEFAULT_SAMPLERS


def evaluate_run(
    workdir: str,
    *,
    out: str = "",
    checkpoint: str = "latest",
    split: Literal["test", "train"] | None = None,
    folder: str = "",
    num_images: int = 0,
    samplers: Sequence[str] = DEFAULT_SAMPLERS,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    seeds: Sequence[int] = (),
    features: Sequence[str] = ("auto",),
    references: Sequence[str] = (),
    save_references: str = "",
    protocol: str = "sound",
    batch_size: int = 200,
    command: str = "",
) -> dict[str, Any]:
    """Scores a trained model and writes numbers, a table, pictures and histograms.

    An interrupted evaluation continues when the same call is made again.

    Args:
        workdir: the run folder, or an exported file.
        out: the folder to write to; by default `evaluation` in the run folder.
        checkpoint: "latest", "best" or the number of a step.
        split: which images of the run to score, by default "test".
        folder: score the images in this folder instead; the run's need not exist.
        num_images: the number of images, from the first on; 0 for all.
        samplers: their names, such as "alg2", or "alg2:5" for five steps.
        endpoint: of a blend, fixed or estimated at every step.
        seeds: of the random part of the degradation; by default that of the run.
        features: feature networks by name, as for `choose_nets`.
        references: files to compare sets with, instead of the clean images.
        save_references: a folder for statistics of the clean images.
        protocol: "sound", "published" for the faults of the official evaluation, or
            faults by name, separated by commas.
        batch_size: images restored at once, over all devices.
        command: that reproduces the results, to be stored with them.

    Returns:
        The content of `results.json`.

    Raises:
        InputError: settings that do not fit the run or each other, files that are
            missing, or a folder that cannot be written to.

    Example:
        >>> results = evaluate_run("runs/digits_blur", num_images=8, features=["none"])
        >>> results["pixels"]["alg2"]["rmse"] > 0
        True
    """
    by_net = _load_references(references)
    restorer = load_run(workdir, checkpoint)
    settings: dict[str, Any] = {
        "images": _open_images(restorer, split, folder),
        "num_images": num_images,
        "samplers": samplers,
        "seeds": seeds,
        "protocol": parse_protocol(protocol, restorer.model.config),
        "endpoint": endpoint,
        "batch_size": batch_size,
    }
    count = len(check_settings(restorer.model, **settings))
    out = out or os.path.join(output_folder(workdir), "evaluation")
    with disk.refusals(out):
        os.makedirs(out, exist_ok=True)
    nets = choose_nets(features, restorer.model, num_images=count)
    _check_references(nets, by_net, save_references)
    scratch = os.path.join(out, "part")
    start = time.perf_counter()
    found = evaluate(
        restorer,
        scratch,
        **settings,
        nets=nets,
        references=by_net,
        progress="evaluating",
    )
    seconds = time.perf_counter() - start
    with disk.refusals(out):
        content = write_results(out, found, nets, seconds=seconds, command=command)
        if save_references:
            write_references(save_references, found[0].references)
        # These folders hold batches of scores and nothing else.
        for one in found:
            shutil.rmtree(os.path.join(scratch, str(one.settings["seed"])))
        with contextlib.suppress(OSError):  # Other seeds, of an interrupted call.
            os.rmdir(scratch)
    print(f"{out}: {seconds:.0f} s")
    return content


def _open_images(restorer: Restorer, split: str | None, folder: str) -> ImageSet:
    if not folder:
        return images_of_run(restorer, split or "test")
    if split:
        raise InputError("`split` and `folder` name two sets of images; choose one")
    return images_of_folder(restorer.model, folder)


def _load_references(paths: Sequence[str]) -> dict[str, Reference]:
    """Loads references by the names of their feature networks."""
    references = [load_reference(path) for path in paths]
    by_net = {reference.feature_net: reference for reference in references}
    if len(by_net) < len(references):
        raise InputError(
            "`references` names two files for one feature network; choose one"
        )
    return by_net


def _check_references(
    nets: Sequence[FeatureNet], by_net: dict[str, Reference], save_references: str
) -> None:
    if save_references and not nets:
        raise InputError(
            "`save_references` saves features of networks; choose one by `features`"
        )
    unused = by_net.keys() - {net.name for net in nets}
    if unused:
        raise InputError(
            f"a reference is for the features of {min(unused)}, which `features` does "
            "not name"
        )
