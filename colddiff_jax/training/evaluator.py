"""Scores a model on test images during training."""

import collections
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from colddiff_jax import devices
from colddiff_jax.evaluation.protocol import SOUND
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.evaluation.summary import Summary
from colddiff_jax.experiment.model import Model
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.image_set import ImageSet
from colddiff_jax.restoration.samplers import parse_samplers
from colddiff_jax.training.interruption import Interrupted

NUM_QUARTERS = 4
"""The number of equal parts of 1..T for which the loss is also reported."""


class HeldOutScores(NamedTuple):
    """The scores of one evaluation during training.

    Attributes:
        loss: the held-out training loss, averaged over the images with one random t
            each, without the weights, noise and rollouts that training may add.
        quarters: the loss over the images whose t lies in each quarter of 1..T, from
            the mildest; NaN if there are none.
        rmse: the root mean squared error over all images, in [0, 1], for "degraded" and
            by sampler, from `default_samplers`.
        ssim: the mean structural similarity, likewise.
        examples: the first images, uint8 [N, H, W, C], by sampler and for "clean" and
            "degraded".
    """

    loss: float
    quarters: tuple[float, ...]
    rmse: dict[str, float]
    ssim: dict[str, float]
    examples: dict[str, np.ndarray]

    def __repr__(self) -> str:
        return short_repr(self)


class Evaluator:
    """Evaluates parameters on test images with one compiled program.

    The scores equal those of `evaluation.evaluate` on the same images. Every random
    draw depends only on (seed, index of the image), so scores can be compared between
    steps and do not depend on the batch size or the devices.

    Args:
        model: the degradation and the network.
        image_set: the test images.
        seed: the seed of all random draws.
        batch_size: images restored at once, over all devices of this process.
    """

    def __init__(
        self, model: Model, image_set: ImageSet, *, seed: int, batch_size: int
    ):
        devices.check_batch_size(
            "`evaluation.batch_size`", batch_size, devices.num_local_devices()
        )
        self._image_set, self._seed = image_set, seed
        self._num_steps = model.degrade.num_steps
        specs = parse_samplers(None, model.degrade, target=model.target)
        self._scored = ("degraded", *(spec.name for spec in specs))
        self._scorer = Scorer(model, specs=specs, batch_size=batch_size)

    def __call__(
        self,
        params: Any,
        num_images: int,
        num_examples: int = 8,
        *,
        stop_requested: Callable[[], bool] = lambda: False,
        progress: str = "",
    ) -> HeldOutScores:
        """Restores the first `num_images` test images; keeps `num_examples` of them.

        Raises:
            Interrupted: a stop was requested before the last batch was done.
        """
        batches: list[dict[str, np.ndarray]] = []
        examples: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        num_done = 0
        # Scores may be non-finite here: the loop itself stops a diverging run.
        for values, pictures in self._scorer.stream(
            params,
            self._image_set,
            self._seed,
            range(num_images),
            check_finite=False,
            progress=progress,
        ):
            if stop_requested():
                raise Interrupted
            if num_done < num_examples:
                for name, x in pictures.items():
                    examples[name].append(x)
            num_done += len(values["loss"])
            batches.append(values)
        summary = Summary(batches, self._scored, SOUND)
        pixels, per_image = summary.pixels(), summary.per_image
        quarter = (per_image["t"] - 1) * NUM_QUARTERS // self._num_steps
        losses = [per_image["loss"][quarter == i] for i in range(NUM_QUARTERS)]
        return HeldOutScores(
            loss=summary.loss(),
            quarters=tuple(float(x.mean()) if x.size else math.nan for x in losses),
            rmse={name: pixels[name]["rmse"] for name in self._scored},
            ssim={name: pixels[name]["ssim"] for name in self._scored},
            # In the order of a grid's rows; pmap returns dicts sorted by name.
            examples={
                name: np.concatenate(examples[name])[:num_examples]
                for name in ("clean", *self._scored)
            },
        )
