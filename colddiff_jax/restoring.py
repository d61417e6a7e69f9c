"""Restores images with a trained run and any sampler, on all devices."""

import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import numpy as np

from colddiff_jax import images
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.runs import Run
from colddiff_jax.sampling import BatchSampler, SampleResult, guide
from colddiff_jax.training.draws import example_keys
from colddiff_jax.training.objective import bind

Sampler = Callable[[chex.PRNGKey, Any, Degradation, chex.Array], SampleResult]
"""Called as sampler(keys, restore_fn, degrade, x_T), with one key per image, [B]."""


def restore_images(
    key: chex.PRNGKey,
    run: Run,
    batch: Batch,
    sampler: Sampler,
    *,
    start: int,
    batch_size: int,
    guidance: float = 1.0,
    num_ways: int = 0,
) -> tuple[np.ndarray, np.ndarray, SampleResult]:
    """Degrades images and restores them; shows a progress bar on a terminal.

    Every random draw depends on (key, number of the image) alone.

    Args:
        key: of all that is random.
        run: the restorer and the degradation.
        batch: any number of images, with the labels to restore them by where the run
            has classes, and with endpoints where its degradation blends with images.
        sampler: the way back from D(x_0, start).
        start: the step to degrade to, in 1..T.
        batch_size: images at once, over all devices; rounded up to a multiple of them.
        guidance: scale of classifier-free guidance, where there are labels.
        num_ways: images whose trajectory is kept, if the sampler returns it.

    Returns:
        The clean and the degraded images, float [N, H, W, C], and the result, whose
        trajectory has its first two axes swapped: [num_ways, steps, H, W, C].
    """
    model = run.experiment.model

    def restore(shared: tuple, numbered: tuple[Batch, chex.Array]) -> tuple:
        params, degrade, key = shared
        (pixels, labels, endpoints), numbers = numbered
        x_0 = images.to_float(pixels)
        degrade_keys, sampler_keys = (
            example_keys(jax.random.fold_in(key, i), numbers) for i in range(2)
        )
        bound = bind(degrade, degrade_keys, x_0.shape, endpoints)
        x_start = bound(x_0, start)
        restore_fn: Any = functools.partial(model.apply, {"params": params})
        if labels is not None:
            null = model.num_classes
            restore_fn = guide(restore_fn, labels, scale=guidance, null_label=null)
        result = sampler(sampler_keys, restore_fn, bound, x_start)
        if result.trajectory is not None:
            result = result._replace(trajectory=result.trajectory.swapaxes(0, 1))
        return x_0, x_start, result

    num_images, devices = len(batch.images), jax.local_device_count()
    in_batches = BatchSampler(
        restore, batch_size=-(-min(batch_size, num_images) // devices) * devices
    )
    numbered = (batch, np.arange(num_images))
    parts: list[tuple] = []
    for clean, degraded, result in in_batches.stream(
        (run.params, run.experiment.degrade, key),
        lambda first, stop: jax.tree.map(lambda leaf: leaf[first:stop], numbered),
        num_images,
        progress="restoring",
    ):
        if result.trajectory is not None:  # Large.
            room = max(0, num_ways - sum(len(part[0]) for part in parts))
            result = result._replace(trajectory=result.trajectory[:room])
        parts.append((clean, degraded, result))
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)
