"""Scores a trained run on many images: the rows of the paper's tables."""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from colddiff_jax.evaluation.batch_files import BatchFiles
from colddiff_jax.evaluation.checks import check_nets, check_settings
from colddiff_jax.evaluation.image_set import ImageSet, split_of
from colddiff_jax.evaluation.methods import DEFAULT, parse_methods
from colddiff_jax.evaluation.paper_tables import data_set_name
from colddiff_jax.evaluation.protocol import SOUND, Protocol
from colddiff_jax.evaluation.report import chosen_by_rmse
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.evaluation.summary import Summary
from colddiff_jax.metrics.features import FeatureNet
from colddiff_jax.metrics.reference import (
    Reference,
    check_reference,
    note_few_images,
)
from colddiff_jax.runs import Run
from colddiff_jax.training.run_folder import versions


class Evaluation(NamedTuple):
    """What an evaluation found with one seed.

    Attributes:
        settings: everything that it depends on, as for JSON.
        loss: held-out training loss, one random t per image.
        pixels: by method, the scores against the clean images.
        distances: by feature network and method, the distances between the sets.
        per_image: the scores of single images, float [N], such as "mse/alg2".
        references: statistics of the clean images, by feature network.
        notes: what a reader of the distances should know.
        examples: by "best", "median" and "worst" (by RMSE of the last method) and by
            method, and "clean", uint8 [n, H, W, C].
    """

    settings: dict[str, Any]
    loss: float
    pixels: dict[str, dict[str, float]]
    distances: dict[str, dict[str, dict[str, float]]]
    per_image: dict[str, np.ndarray]
    references: dict[str, Reference]
    notes: list[str]
    examples: dict[str, dict[str, np.ndarray]]


def evaluate(
    run: Run,
    folder: str,
    *,
    images: ImageSet | None = None,
    num_images: int = 0,
    samplers: Sequence[str] = DEFAULT,
    seeds: Sequence[int] = (),
    nets: Sequence[FeatureNet] = (),
    references: Mapping[str, Reference] | None = None,
    protocol: Protocol = SOUND,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    batch_size: int = 200,
    num_examples: int = 8,
    progress: str = "",
) -> list[Evaluation]:
    """Degrades images fully, restores them by every method, and scores what comes out.

    One compiled program does it for all batches and seeds. The scores of every batch
    are kept in `folder/SEED`: an evaluation that was interrupted goes on where it
    stopped when it is called again, and one that was finished reads them. These folders
    are the caller's to remove.

    Args:
        run: from `load_run`.
        folder: that of the folders for the scores of batches, which hold nothing else;
            scores of other settings are removed.
        images: what to score; None for the test images of the run.
        num_images: the first so many of them; 0 for all.
        samplers: as for `parse_methods`, beside the degraded images.
        seeds: of the random part of the degradation; that of the run if none are given.
        nets: what tells features, for distances between sets of images.
        references: by feature network, what to compare sets with; by default the clean
            images that are scored, as in the paper.
        protocol: which faults of the official evaluation to repeat.
        endpoint: of a blend, held or estimated at every step.
        batch_size: images restored at once; a multiple of the number of devices. The
            last bits of the scores depend on it.
        num_examples: images of each kind in `examples`.
        progress: text before a progress bar on a terminal; none if empty.

    Returns:
        The scores with each seed; the same call gives the same.

    Raises:
        InputError: settings that do not fit the run or each other, a folder with other
            files, or a network that returns NaN.

    Example:
        >>> (found,) = evaluate(load_run("runs/digits_blur"), "/tmp/evaluation")
        >>> found.pixels["alg2"]["rmse"]
        0.076

    Reference:
        Bansal et al. (2022), section 4.
    """
    experiment = run.experiment
    images = images or split_of(experiment)
    seeds = seeds or [experiment.seed]
    references = references or {}
    numbers = check_settings(
        run,
        images=images,
        num_images=num_images,
        samplers=samplers,
        seeds=seeds,
        protocol=protocol,
        endpoint=endpoint,
        batch_size=batch_size,
    )
    check_nets(nets, references, protocol, len(numbers))
    methods = parse_methods(samplers, experiment.degrade.num_steps)
    data = images.describe(experiment, len(numbers), data_set_name(run.config))
    data["protocol"] = {
        name: name in protocol.faults
        for name in ("values_not_clipped", "test_images_augmented")
    }
    notes = []
    for net in nets:
        if net.name in references:
            notes += check_reference(references[net.name], net, data)
    settings = {
        "step": run.step,
        "weights": _hash(run.params),
        "config": run.config,
        "data": data,
        "first_image": numbers.start,
        "samplers": [method.name for method in methods],
        "endpoint": endpoint,
        "faults": protocol.faults,
        "features": {net.name: net.fingerprint for net in nets},
        "references": {
            name: {
                "name": found.name,
                "data": found.data,
                "statistics": _hash((found.moments.mean, found.moments.covariance)),
            }
            for name, found in references.items()
        },
        "batch_size": batch_size,
        "versions": versions(),
        "device": f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}",
    }
    settings = json.loads(json.dumps(settings))
    scorer = Scorer(
        experiment,
        methods=methods,
        nets=nets,
        protocol=protocol,
        batch_size=batch_size,
        endpoint=endpoint,
    )

    def with_seed(seed: int) -> Evaluation:
        own_settings = settings | {"seed": seed}
        files = BatchFiles(os.path.join(folder, str(seed)), own_settings)
        left = numbers[len(files) * batch_size :]
        if left:
            for scores in scorer.stream(
                run.params, images, seed, left, progress=progress
            ):
                files.append(scores.values)
        names = ["degraded", *settings["samplers"]]
        summary = Summary(files, names, protocol)
        per_image = summary.per_image
        chosen = chosen_by_rmse(per_image[f"mse/{names[-1]}"], num_examples)
        shown = [numbers[i] for group in chosen.values() for i in group]
        pictures = [
            scores.pictures for scores in scorer.stream(run.params, images, seed, shown)
        ]
        own = {net.name: summary.reference(net, _name_of(data), data) for net in nets}
        few = [note_few_images(own[name]) for name in own if name not in references]
        return Evaluation(
            settings=own_settings,
            loss=summary.loss(),
            pixels=summary.pixels(),
            distances={
                net.name: summary.distances(net, references.get(net.name), seed)
                for net in nets
            },
            per_image=per_image,
            references=own,
            notes=[*notes, *itertools.chain(*few)],
            examples=_by_group(pictures, chosen, ["clean", *names]),
        )

    return [with_seed(seed) for seed in seeds]


def _name_of(data: Mapping[str, Any]) -> str:
    """What a reference of these images is called, such as "mnist train"."""
    return f"{data['source']} {data['split']}".strip()


def _hash(params: Any) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _by_group(
    pictures: Sequence[Mapping[str, np.ndarray]],
    chosen: Mapping[str, np.ndarray],
    methods: Sequence[str],
) -> dict[str, dict[str, np.ndarray]]:
    """Takes the pictures of all groups apart again."""
    examples: dict[str, dict[str, np.ndarray]] = {}
    start = 0
    for group, found in chosen.items():
        stop = start + len(found)
        examples[group] = {
            method: np.concatenate([part[method] for part in pictures])[start:stop]
            for method in methods
        }
        start = stop
    return examples
