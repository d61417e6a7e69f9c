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
from colddiff_jax.restoration.loading import load_run, output_folder
from colddiff_jax.restoration.restorer import Restorer


def evaluate_run(
    workdir: str,
    *,
    out: str = "",
    checkpoint: str = "latest",
    split: Literal["test", "train"] | None = None,
    folder: str = "",
    num_images: int = 0,
    samplers: Sequence[str] | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    seeds: Sequence[int] = (),
    features: Sequence[str] = ("auto",),
    references: Sequence[str] = (),
    save_references: str = "",
    protocol: str = "sound",
    batch_size: int = 200,
    command: str = "",
) -> dict[str, Any]:
    """Scores a trained model, and writes numbers, a table, pictures and histograms.

    The same call resumes an interrupted evaluation. Results of other samplers are added
    to those in the folder, if all other settings are the same.

    Args:
        workdir: the run folder, or an exported file.
        out: the folder to write to; by default `evaluation` in the run folder.
        checkpoint: "latest", "best" or the number of a step.
        split: the images of the run to score, "test" (default) or "train".
        folder: a folder of images to score instead; the run's images need not exist.
        num_images: the number of images, starting from the first; 0 for all.
        samplers: names such as "alg2", or "alg2:5" for five steps; None for direct,
            alg1 and alg2, or ihd if the model predicts the step before.
        endpoint: the endpoint of a blend, fixed or estimated at every step.
        seeds: seeds of the degradation and the samplers; by default the run's seed.
        features: names of feature networks, as for `choose_nets`.
        references: files of `save_references` to compare with, instead of the clean
            images.
        save_references: the folder to save statistics of the clean images to.
        protocol: "sound", "published" for the faults of the official evaluation, or
            faults by name, separated by commas.
        batch_size: images restored at once, over all devices.
        command: the command that reproduces the results, stored with them.

    Returns:
        The contents of `results.json`.

    Raises:
        InputError: settings that do not fit the run or each other, files that are
            missing, or a folder that cannot be written to.

    Example:
        >>> results = evaluate_run(
        ...     "runs/digits_blur", num_images=8, batch_size=8, features=["none"]
        ... )
        >>> results["pixels"]["alg2"]["rmse"] > 0
        True
    """
    by_net = load_references(references)
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
    if save_references:
        with disk.refusals(save_references):
            os.makedirs(save_references, exist_ok=True)
    nets = choose_nets(features, restorer.model, num_images=count)
    check_references(nets, by_net, save_references)
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
        # These folders hold nothing but scores of batches.
        for evaluation in found:
            shutil.rmtree(os.path.join(scratch, str(evaluation.settings["seed"])))
        with contextlib.suppress(OSError):  # An interrupted call left other seeds.
            os.rmdir(scratch)
    print(f"{out}: {seconds:.0f} s")
    return content


def _open_images(restorer: Restorer, split: str | None, folder: str) -> ImageSet:
    if not folder:
        return images_of_run(restorer, split or "test")
    if split:
        raise InputError("`split` and `folder` name two sets of images; choose one")
    try:
        return images_of_folder(restorer.model, folder)
    except InputError as error:  # Sources name fields of the section data.
        message = str(error).replace("`data.path`", "`folder`")
        raise InputError(message) from error


def load_references(paths: Sequence[str]) -> dict[str, Reference]:
    """Loads references, by the name of their feature network."""
    references = [load_reference(path) for path in paths]
    by_net = {reference.feature_net: reference for reference in references}
    if len(by_net) < len(references):
        raise InputError(
            "`references` lists two files for one feature network; choose one"
        )
    return by_net


def check_references(
    nets: Sequence[FeatureNet], by_net: dict[str, Reference], save_references: str
) -> None:
    """Raises InputError for references that no feature network uses or makes."""
    if save_references and not nets:
        raise InputError(
            "`save_references` needs a feature network; choose one with `features`"
        )
    unused = by_net.keys() - {net.name for net in nets}
    if unused:
        raise InputError(
            f"a reference is for the feature network {min(unused)}, which `features` "
            "does not list"
        )
