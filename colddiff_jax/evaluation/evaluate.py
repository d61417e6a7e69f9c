"""Scores a trained model on many images: the rows of the paper's tables."""

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from colddiff_jax import devices
from colddiff_jax.evaluation.batch_files import BatchFiles
from colddiff_jax.evaluation.description import (
    describe_data,
    describe_references,
    name_of,
    settings_of,
)
from colddiff_jax.evaluation.protocol import SOUND, Protocol
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.evaluation.settings import check_nets, check_settings
from colddiff_jax.evaluation.summary import Summary, chosen_by_rmse
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.metrics.reference import (
    Reference,
    check_reference,
    note_few_images,
)
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.image_set import ImageSet, images_of_run
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.samplers import parse_samplers


class Evaluation(NamedTuple):
    """The results of an evaluation with one seed.

    Attributes:
        settings: everything that the results depend on, as JSON.
        loss: the held-out training loss, with one random t per image.
        pixels: scores against the clean images, by sampler.
        distances: distances between the sets, by feature network and sampler.
        per_image: scores of single images, float [N], by name, such as "mse/alg2".
        references: statistics of the clean images, by feature network.
        notes: caveats about the distances.
        examples: images, uint8 [n, H, W, C], by group ("best", "median" and "worst" by
            RMSE of the last sampler) and by sampler or "clean".

    Example:
        >>> restorer = load_run("runs/digits_blur")
        >>> (found,) = evaluate(
        ...     restorer, "scratch", samplers=["direct"], num_images=8, batch_size=8
        ... )
        >>> len(found.per_image["mse/direct"])
        8
    """

    settings: dict[str, Any]
    loss: float
    pixels: dict[str, dict[str, float]]
    distances: dict[str, dict[str, dict[str, float]]]
    per_image: dict[str, np.ndarray]
    references: dict[str, Reference]
    notes: list[str]
    examples: dict[str, dict[str, np.ndarray]]

    def __repr__(self) -> str:
        return short_repr(self)


def evaluate(
    restorer: Restorer,
    folder: str,
    *,
    images: ImageSet | None = None,
    num_images: int = 0,
    samplers: Sequence[str] | None = None,
    seeds: Sequence[int] = (),
    nets: Sequence[FeatureNet] = (),
    references: Mapping[str, Reference] | None = None,
    protocol: Protocol = SOUND,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    batch_size: int = 200,
    num_examples: int = 8,
    progress: str = "",
) -> list[Evaluation]:
    """Degrades images fully, restores them with every sampler, and scores the results.

    One compiled program serves all batches and seeds. The scores of every batch are
    kept in `folder/SEED`: the same call resumes an interrupted evaluation, and rereads
    the scores of a finished one. Deleting these folders is left to the caller.

    Args:
        restorer: from `load_run`.
        folder: the parent of the folders with the scores of batches, which hold nothing
            else; scores of other settings are deleted.
        images: the images to score; None for the test images of the run.
        num_images: the number of images, starting from the first; 0 for all.
        samplers: as for `parse_samplers`; None for direct, alg1 and alg2, or ihd if the
            model predicts the step before. The degraded images are scored, too.
        seeds: seeds of the degradation and the samplers; by default the run's seed.
        nets: feature networks, for distances between sets of images.
        references: the sets to compare with, by feature network; by default the clean
            images that are scored, as in the paper.
        protocol: the faults of the official evaluation to repeat.
        endpoint: the endpoint of a blend, fixed or estimated at every step.
        batch_size: images restored at once; a multiple of the number of devices. The
            last bits of the scores depend on it. Fewer if there are fewer images.
        num_examples: the number of images in each group of `examples`.
        progress: the label of a progress bar, as for `BatchSampler`.

    Returns:
        The results for each seed; the same call returns the same results.

    Raises:
        InputError: settings that do not fit the model or each other, a folder with
            other files, or a network that returns NaN.

    Example:
        >>> restorer = load_run("runs/digits_blur")
        >>> (found,) = evaluate(restorer, "scratch", num_images=8, batch_size=8)
        >>> sorted(found.pixels)
        ['alg1', 'alg2', 'degraded', 'direct']

    Reference:
        Bansal et al. (2022), section 4.
    """
    model = restorer.model
    images = images or images_of_run(restorer)
    references = references or {}
    indices = check_settings(
        model,
        images=images,
        num_images=num_images,
        samplers=samplers,
        seeds=seeds,
        protocol=protocol,
        endpoint=endpoint,
        batch_size=batch_size,
    )
    check_nets(nets, references, protocol, len(indices))
    # Batches are padded to their full size: a larger one would score padding.
    batch_size = min(batch_size, devices.divisible(len(indices)))
    specs = parse_samplers(samplers, model.degrade, target=model.target)
    data = describe_data(model, images, len(indices), protocol)
    notes = []
    for net in nets:
        if net.name in references:
            notes += check_reference(references[net.name], net, data)
    settings = {
        **settings_of(restorer),
        "data": data,
        "first_image": indices.start,
        "samplers": [spec.name for spec in specs],
        "endpoint": endpoint,
        "faults": protocol.faults,
        "features": {net.name: net.fingerprint for net in nets},
        "references": describe_references(references),
        "batch_size": batch_size,
    }
    settings = json.loads(json.dumps(settings))
    scorer = Scorer(
        model,
        specs=specs,
        nets=nets,
        protocol=protocol,
        batch_size=batch_size,
        endpoint=endpoint,
    )
    found = []
    for seed in seeds or [model.config["seed"]]:
        files = BatchFiles(os.path.join(folder, str(seed)), settings | {"seed": seed})
        remaining = indices[len(files) * batch_size :]
        if remaining:
            for scores in scorer.stream(
                restorer.params, images, seed, remaining, progress=progress
            ):
                files.append(scores.values)
        names = ["degraded", *settings["samplers"]]
        summary = Summary(files, names, protocol)
        last = summary.per_image[f"mse/{names[-1]}"]
        chosen = chosen_by_rmse(last, num_examples)
        shown = [indices[i] for group in chosen.values() for i in group]
        pictures = [
            scores.pictures
            for scores in scorer.stream(restorer.params, images, seed, shown)
        ]
        own = {net.name: summary.reference(net, name_of(data), data) for net in nets}
        few = [note_few_images(own[name]) for name in own if name not in references]
        found.append(
            Evaluation(
                settings=settings | {"seed": seed},
                loss=summary.loss(),
                pixels=summary.pixels(),
                distances={
                    net.name: summary.distances(net, references.get(net.name), seed)
                    for net in nets
                },
                per_image=summary.per_image,
                references=own,
                notes=[*notes, *itertools.chain(*few)],
                examples=_by_group(pictures, chosen, ["clean", *names]),
            )
        )
    return found


def _by_group(
    pictures: Sequence[Mapping[str, np.ndarray]],
    chosen: Mapping[str, np.ndarray],
    names: Sequence[str],
) -> dict[str, dict[str, np.ndarray]]:
    """Splits the pictures into the groups that they were chosen for."""
    examples: dict[str, dict[str, np.ndarray]] = {}
    start = 0
    for group, indices in chosen.items():
        stop = start + len(indices)
        examples[group] = {
            name: np.concatenate([part[name] for part in pictures])[start:stop]
            for name in names
        }
        start = stop
    return examples
