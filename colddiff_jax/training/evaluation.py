"""Scores a restorer on test images: degraded, direct, Algorithm 1, Algorithm 2."""

import collections
import functools
import math
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import numpy as np

from colddiff_jax import images, metrics, parallel
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.evaluation.image_set import load_batch, split_of
from colddiff_jax.evaluation.methods import parse_methods, restore
from colddiff_jax.losses import Distance, restoration_loss
from colddiff_jax.sampling.batches import BatchSampler
from colddiff_jax.training.draws import draw_steps, example_keys, stream
from colddiff_jax.training.experiment import Experiment
from colddiff_jax.training.objective import bind
from colddiff_jax.training.options import METHODS

QUARTERS = 4  # Of 1..T, for which the loss is told apart.


class Evaluation(NamedTuple):
    """What one evaluation found.

    Attributes:
        loss: held-out training loss, mean over the images, one random t each, without
            the weights, noise and rollouts that training may add.
        quarters: the same over the images whose t lies in each quarter of 1..T, from
            the mildest; NaN for none.
        rmse: by method, the root of the mean squared error over all images, in [0, 1].
        ssim: by method, the mean structural similarity.
        examples: by name ("clean" and the methods), the first images, float [N, H, W,
            C].
    """

    loss: float
    quarters: tuple[float, ...]
    rmse: dict[str, float]
    ssim: dict[str, float]
    examples: dict[str, np.ndarray]


class Evaluator:
    """Evaluates parameters on test images with one compiled program.

    Every random draw depends on (seed, number of the image) alone, so scores are
    comparable between steps of a run and do not change with the batch size or the
    devices.

    Args:
        experiment: the model, the degradation, the test images and the seed.
        batch_size: images restored at once, over all devices of this process.
    """

    def __init__(self, experiment: Experiment, *, batch_size: int):
        parallel.check_batch_size(
            "evaluation.batch_size", batch_size, jax.local_device_count()
        )
        self._experiment = experiment
        self._test_set = split_of(experiment)
        self._degrade = parallel.replicate(experiment.degrade)
        self._key = parallel.replicate(stream(experiment.seed, "evaluate"))
        self._score = BatchSampler(
            functools.partial(_score, experiment.model, experiment.objective.distance),
            batch_size=batch_size,
        )

    def __call__(
        self,
        params: Any,
        num_images: int,
        num_examples: int = 8,
        *,
        progress: str = "",
    ) -> Evaluation:
        """Restores the first `num_images` test images; keeps `num_examples` of them."""
        scores, examples = collections.defaultdict(list), collections.defaultdict(list)
        done = 0
        shared = (params, self._degrade, self._key)
        for found, restored in self._score.stream(
            shared, self._load, num_images, progress=progress
        ):
            for name, values in found.items():
                scores[name].append(values)
            if done < num_examples:
                for name, x in restored.items():
                    examples[name].append(x)
            done += len(found["loss"])
        every = {name: np.concatenate(values) for name, values in scores.items()}
        mean = {name: float(x.mean(dtype=np.float64)) for name, x in every.items()}
        quarter = (every.pop("t") - 1) * QUARTERS // self._experiment.degrade.num_steps
        losses = [every["loss"][quarter == i] for i in range(QUARTERS)]
        return Evaluation(
            loss=mean["loss"],
            quarters=tuple(float(x.mean()) if x.size else math.nan for x in losses),
            rmse={method: mean[f"mse_{method}"] ** 0.5 for method in METHODS},
            ssim={method: mean[f"ssim_{method}"] for method in METHODS},
            # In the order of a grid's rows; pmap returns dicts sorted by name.
            examples={
                name: np.concatenate(examples[name])[:num_examples]
                for name in ("clean", *METHODS)
            },
        )

    def _load(self, start: int, stop: int) -> tuple[Batch, np.ndarray]:
        """The images start..stop - 1, what comes with them, and their numbers."""
        numbers = np.arange(start, stop)
        return load_batch(self._test_set, self._experiment, numbers), numbers


def _score(
    model: nn.Module,
    distance: Distance,
    shared: tuple[Any, Degradation, chex.PRNGKey],
    batch: tuple[Batch, chex.Array],
) -> tuple[dict[str, chex.Array], dict[str, chex.Array]]:
    """Scores per image, and the images, of a batch numbered [B]."""
    params, degrade, key = shared
    (pixels, labels, endpoints), numbers = batch
    x_0 = images.to_float(pixels)
    t_keys, degrade_keys = (
        example_keys(jax.random.fold_in(key, i), numbers) for i in range(2)
    )
    t = draw_steps(t_keys, degrade.num_steps)
    bound = bind(degrade, degrade_keys, x_0.shape, endpoints)
    options = {} if labels is None else {"labels": labels}
    restore_fn = functools.partial(model.apply, {"params": params}, **options)
    x_T = bound(x_0, bound.num_steps)
    methods = parse_methods(METHODS[1:], bound.num_steps)
    restored = {"degraded": x_T, **restore(methods, restore_fn, bound, x_T)}
    scores = {
        "t": t,
        "loss": restoration_loss(restore_fn, bound, x_0, t, distance=distance),
    }
    for name, x in restored.items():
        scores[f"mse_{name}"] = metrics.mean_squared_error(x, x_0)
        scores[f"ssim_{name}"] = metrics.ssim(x, x_0)
    return scores, {"clean": x_0, **restored}
