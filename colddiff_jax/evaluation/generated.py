"""Scores images that a model generates from nothing, against those of its run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from colddiff_jax.evaluation.copies import Copies
from colddiff_jax.evaluation.description import (
    describe_data,
    describe_references,
    hash_of,
    settings_of,
)
from colddiff_jax.evaluation.generated_images import (
    SPLITS,
    Endpoint,
    check_generation,
    generate_pixels,
    load_pixels,
    open_splits,
)
from colddiff_jax.evaluation.protocol import SOUND
from colddiff_jax.evaluation.set_features import SetDistances
from colddiff_jax.evaluation.settings import check_nets
from colddiff_jax.evaluation.summary import random_order
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.metrics.reference import Reference
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.image_set import ImageSet
from colddiff_jax.restoration.restorer import Restorer


class GeneratedEvaluation(NamedTuple):
    """Scores of generated images with one seed.

    The rows of the scores are the samplers, and "test images": what a perfect model
    would reach. Where the test images are the reference, that row is "train images".

    Attributes:
        settings: everything that the scores depend on, as JSON.
        distances: distances to the reference set, by feature network and row.
        copies: by row, the "share" of images that are nearer to a training image than
            99 % of the test images are, in 0..1, and the median "rmse" to the nearest
            training image.
        references: statistics of the reference set, by feature network.
        notes: caveats about the scores.
        images: the images, uint8 [N, H, W, C], by row.
        nearest: by row, those of its images that are nearest to a training image, and
            these training images, uint8 [n, H, W, C] each.

    Example:
        >>> restorer = load_run("runs/digits_blur")
        >>> prior = sampling.EmpiricalPrior(np.zeros((1, 16, 16, 1), np.float32))
        >>> (found,) = evaluate_generated(
        ...     restorer, 8, samplers=["direct"], options={"prior": prior}
        ... )
        >>> found.images["direct"].shape
        (8, 16, 16, 1)
    """

    settings: dict[str, Any]
    distances: dict[str, dict[str, dict[str, float]]]
    copies: dict[str, dict[str, float]]
    references: dict[str, Reference]
    notes: list[str]
    images: dict[str, np.ndarray]
    nearest: dict[str, tuple[np.ndarray, np.ndarray]]

    def __repr__(self) -> str:
        return short_repr(self)


def evaluate_generated(
    restorer: Restorer,
    generate: int,
    *,
    images: Mapping[str, ImageSet] | None = None,
    split: Literal["train", "test"] = "train",
    num_images: int = 0,
    samplers: Sequence[str] | None = None,
    seeds: Sequence[int] = (),
    nets: Sequence[FeatureNet] = (),
    references: Mapping[str, Reference] | None = None,
    endpoint: Endpoint | None = None,
    batch_size: int = 200,
    options: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> list[GeneratedEvaluation]:
    """Generates images with every sampler, and compares them with those of the run.

    Args:
        restorer: from `load_run`.
        generate: the number of images, at least 5.
        images: the images of the run, by split; None to open them.
        split: the images to compare with, the reference set.
        num_images: their number, starting from the first; 0 for all.
        samplers: as for `parse_samplers`; None for "alg2", or "ihd" if R predicts the
            step before.
        seeds: seeds of the images; by default the run's seed.
        nets: feature networks, for distances between sets of images.
        references: saved statistics to compare with instead, by feature network.
        endpoint: as in `Restorer.generate`.
        batch_size: images whose features are computed at once; a multiple of the number
            of devices. The last bits of the distances depend on it.
        options: further arguments of `Restorer.generate`, such as `prior`.
        progress: whether to show progress bars on a terminal.

    Returns:
        The scores for each seed.

    Raises:
        InputError: arguments that do not fit the model or each other, a model that does
            not say where its images begin, or images that are not finite.

    Example:
        >>> restorer = load_run("runs/digits_blur")
        >>> prior = sampling.EmpiricalPrior(np.zeros((1, 16, 16, 1), np.float32))
        >>> (found,) = evaluate_generated(
        ...     restorer, 8, samplers=["direct"], options={"prior": prior}
        ... )
        >>> sorted(found.copies)
        ['direct', 'test images']

    Reference:
        Heusel et al. (2017) and Kynkaanniemi et al. (2019) for the distances. The share
        of copies is that of `copied_share`.
    """
    model = restorer.model
    images, references = images or open_splits(restorer), references or {}
    options = options or {}
    specs = check_generation(
        restorer,
        generate,
        images,
        split=split,
        num_images=num_images,
        samplers=samplers,
        seeds=seeds,
        endpoint=endpoint,
        batch_size=batch_size,
        options=options,
    )
    check_nets(nets, references, SOUND, generate)
    pixels = {name: load_pixels(images[name]) for name in SPLITS}
    count = num_images or len(pixels[split])
    data = describe_data(model, images[split], count)
    sets = SetDistances(
        pixels[split][:count], data, nets, references, batch_size, progress
    )
    copies = Copies(**pixels, mirrored=model.preprocessing.flip, progress=progress)
    settings = {
        **settings_of(restorer),
        "generate": generate,
        "samplers": [spec.name for spec in specs],
        "endpoint": endpoint,
        "options": {name: _as_json(value) for name, value in options.items()},
        "data": data,
        "copies": copies.settings,
        "features": {net.name: net.fingerprint for net in nets},
        "references": describe_references(references),
        "batch_size": batch_size,
    }
    settings = json.loads(json.dumps(settings))
    seeds = seeds or [model.config["seed"]]
    other = "test" if split == "train" else "train"
    # Data sets are often sorted.
    fresh = pixels[other][random_order(len(pixels[other]))[:generate]]
    notes = [*sets.notes, *copies.notes, *_note_fewer(other, len(fresh), generate)]
    fresh_scores = sets.scores(fresh, seed=0), copies.scores(fresh)
    evaluations = []
    for seed in seeds:
        rows = {
            spec.name: generate_pixels(
                restorer,
                spec,
                generate,
                seed,
                endpoint=endpoint,
                options=options,
                progress=f"generating, {spec.name}" if progress else "",
            )
            for spec in specs
        }
        scores = {
            name: (sets.scores(row, seed), copies.scores(row))
            for name, row in rows.items()
        } | {f"{other} images": fresh_scores}
        evaluations.append(
            GeneratedEvaluation(
                settings=settings | {"seed": seed},
                distances={
                    net.name: {name: own[0][net.name] for name, own in scores.items()}
                    for net in nets
                },
                copies={name: own[1][0] for name, own in scores.items()},
                references=sets.references,
                notes=notes,
                images=rows | {f"{other} images": fresh},
                nearest={name: own[1][1] for name, own in scores.items()},
            )
        )
    return evaluations


def _note_fewer(split: str, count: int, generate: int) -> list[str]:
    if count == generate:
        return []
    return [
        f"there are only {count} {split} images, not {generate}: all scores of theirs "
        "but the kernel distance depend on the number"
    ]


def _as_json(value: Any) -> Any:
    """Returns a number or text as it is, and a hash of anything else."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return hash_of(value)
