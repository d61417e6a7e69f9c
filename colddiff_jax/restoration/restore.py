"""Degrades images and restores them by any sampler, on all devices."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import numpy as np

from colddiff_jax import devices, prng
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment.model import Model
from colddiff_jax.io.images import to_float
from colddiff_jax.reprs import short_repr
from colddiff_jax.restoration.endpoints import with_images
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.sampling import BatchSampler, SampleResult


def bind(
    degrade: Degradation,
    keys: chex.PRNGKey,
    shape: tuple[int, ...],
    endpoints: chex.Array | None,
) -> Degradation:
    """Draws the random parameters of D, and sets the images it blends with, uint8."""
    bound = degrade.bind(keys, shape)
    if endpoints is None:
        return bound
    return with_images(bound, to_float(endpoints), keys)


class DegradedBatch(NamedTuple):
    """A degraded batch.

    Attributes:
        x_0: the clean images, float32 [B, H, W, C] in [-1, 1].
        degrade: D, bound to them.
        x_t: D(x_0, t).
    """

    x_0: chex.Array
    degrade: Degradation
    x_t: chex.Array

    def __repr__(self) -> str:
        return short_repr(self)


def degrade_batch(
    degrade: Degradation, keys: chex.PRNGKey, batch: Batch, t: chex.Numeric
) -> DegradedBatch:
    """Degrades a batch of uint8 images.

    Args:
        degrade: D, unbound.
        keys: one per example, [B].
        batch: the images, of the network's size, with endpoints for a blend.
        t: the step, integer [] or [B].
    """
    x_0 = to_float(batch.images)
    bound = bind(degrade, keys, x_0.shape, batch.endpoints)
    return DegradedBatch(x_0, bound, bound(x_0, t))


class RestoredImages(NamedTuple):
    """Images that were degraded and restored.

    Attributes:
        clean: x_0, float [N, H, W, C].
        degraded: D(x_0, start), likewise.
        result: the sampler's, with the images first; those of its trajectory are n.
    """

    clean: np.ndarray
    degraded: np.ndarray
    result: SampleResult

    def __repr__(self) -> str:
        return short_repr(self)


def restore_images(
    key: chex.PRNGKey,
    restorer: Restorer,
    batch: Batch,
    sampler: Callable[..., SampleResult],
    *,
    start: int,
    batch_size: int,
    guidance: float = 1.0,
    num_trajectories: int = 0,
) -> RestoredImages:
    """Degrades images and restores them; shows a progress bar on a terminal.

    Every random draw depends only on (key, index of the image).

    Args:
        key: the key of all random draws.
        restorer: the trained model.
        batch: any number of images, with labels for a conditional network and with
            endpoints for a degradation that blends with images.
        sampler: called as sampler(restore_fn, degrade, x_t, key=keys) with one key per
            image; x_t is D(x_0, start).
        start: the step to degrade to, in 1..T.
        batch_size: images restored at once, over all devices; rounded up to a multiple
            of their number.
        guidance: the scale of classifier-free guidance, for batches with labels.
        num_trajectories: the number n of images whose trajectory is kept, if the
            sampler returns it.
    """
    num_images = len(batch.images)
    in_batches = BatchSampler(
        _restore_program(restorer.model, sampler, start, guidance),
        batch_size=devices.divisible(min(batch_size, num_images)),
    )
    indexed = (batch, np.arange(num_images))
    parts: list[RestoredImages] = []
    for part in in_batches.stream(
        (restorer.params, restorer.model.degrade, key),
        lambda first, stop: jax.tree.map(lambda leaf: leaf[first:stop], indexed),
        num_images,
        progress="restoring",
    ):
        if part.result.trajectory is not None:  # Too large to keep all of them.
            room = max(0, num_trajectories - sum(len(p.clean) for p in parts))
            kept = part.result._replace(
                trajectory=part.result.trajectory[:room],
                predictions=part.result.predictions[:room],
            )
            part = part._replace(result=kept)
        parts.append(part)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _restore_program(
    model: Model, sampler: Callable[..., SampleResult], start: int, guidance: float
) -> Callable[[tuple, tuple[Batch, chex.Array]], RestoredImages]:
    """Returns the function that restores one device's shard of a batch."""

    def restore(shared: tuple, indexed: tuple[Batch, chex.Array]) -> RestoredImages:
        params, degrade, key = shared
        batch, indices = indexed
        degrade_keys, sampler_keys = (
            prng.indexed_keys(jax.random.fold_in(key, i), indices) for i in range(2)
        )
        x_0, bound, x_t = degrade_batch(degrade, degrade_keys, batch, start)
        restore_fn = model.restore_fn(
            params, labels=batch.labels, guidance=guidance, degrade=bound
        )
        result = sampler(restore_fn, bound, x_t, key=sampler_keys)
        return RestoredImages(x_0, x_t, result.images_first())

    return restore
