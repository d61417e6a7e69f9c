"""Degrades, restores and scores images: one compiled program on all devices."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import devices, metrics, prng
from colddiff_jax.checks import InputError
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.evaluation.protocol import SOUND, START_NOISE, Protocol
from colddiff_jax.experiment.model import Model
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.io import images
from colddiff_jax.losses import restoration_loss
from colddiff_jax.metrics.pixel import MS_SSIM_SIDE
from colddiff_jax.restoration.image_set import ImageSet
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.restoration.samplers import (
    SamplerSpec,
    run_samplers,
)
from colddiff_jax.sampling import BatchSampler
from colddiff_jax.sampling.consistency import with_factors


class Scores(NamedTuple):
    """The scores of the images of a batch.

    Attributes:
        values: per image, by name: "loss" (the held-out training loss at the step "t",
            drawn per image) and "METRIC/SAMPLER", float [B]; "pooled/NET/SAMPLER" and
            "probabilities/NET/SAMPLER", float [B, F], the former also of "clean".
        pictures: by sampler, and "clean", uint8 [B, H, W, C].
    """

    values: dict[str, np.ndarray]
    pictures: dict[str, np.ndarray]


class Scorer:
    """Scores images with one compiled program.

    Every random draw depends only on (seed, index of the image), so scores do not
    change with the batch size or the devices.

    Args:
        model: the degradation and the network.
        specs: the samplers, from `parse_samplers`.
        nets: feature networks, for distances between sets.
        protocol: the faults of the official evaluation to repeat.
        batch_size: images scored at once, over all devices of this process.
        endpoint: the endpoint of a blend, fixed or estimated at every step.
    """

    def __init__(
        self,
        model: Model,
        *,
        specs: Sequence[SamplerSpec],
        nets: Sequence[FeatureNet] = (),
        protocol: Protocol = SOUND,
        batch_size: int,
        endpoint: Literal["fixed", "estimated"] = "fixed",
    ):
        self._augmented = protocol.test_images_augmented
        program = ScoringProgram(model, tuple(specs), tuple(nets), protocol, endpoint)
        self._run = BatchSampler(program, batch_size=batch_size)
        self._batch_size = batch_size
        degrade = model.degrade
        if any(spec.consistent for spec in specs):
            degrade = with_factors(degrade)
        self._degrade = devices.replicate(degrade)
        self._weights = devices.replicate([net.params for net in nets])

    def stream(
        self,
        params: Any,
        image_set: ImageSet,
        seed: int,
        indices: Sequence[int],
        *,
        check_finite: bool = True,
        progress: str = "",
    ) -> Iterator[Scores]:
        """Scores the images with these indices, batch by batch.

        Args:
            params: the parameters of the network.
            image_set: the images.
            seed: the seed of all random draws.
            indices: the indices of the images to score, in any order.
            check_finite: whether to raise for scores that are not finite.
            progress: the label of a progress bar, as for `BatchSampler`.

        Raises:
            InputError: a score that is NaN or infinite.
        """

        def load(start: int, stop: int) -> tuple[Batch, np.ndarray]:
            chosen = np.asarray(indices[start:stop])
            return image_set.load(chosen, crop=not self._augmented), chosen

        key = devices.replicate(prng.stream(seed, "evaluate"))
        shared = (params, self._degrade, key, self._weights)
        results = self._run.stream(shared, load, len(indices), progress=progress)
        for index, (values, pictures) in enumerate(results):
            first = index * self._batch_size
            if check_finite:
                _check_finite(values, indices[first : first + self._batch_size])
            yield Scores(values, pictures)


@dataclasses.dataclass(frozen=True, eq=False)
class ScoringProgram:
    """Computes the scores and pictures of one device's shard of a batch."""

    model: Model
    specs: tuple[SamplerSpec, ...]
    nets: tuple[FeatureNet, ...]
    protocol: Protocol
    endpoint: Literal["fixed", "estimated"]

    def __call__(
        self, shared: tuple[Any, Degradation, chex.PRNGKey, list[Any]], indexed: Any
    ) -> tuple[dict[str, chex.Array], dict[str, chex.Array]]:
        """Returns the values of every image, [B], and the pictures, by name."""
        params, unbound, key, weights = shared
        batch, indices = indexed
        t_keys, degrade_keys, crop_keys, drop_keys, noise_keys, sampler_keys = (
            prng.indexed_keys(jax.random.fold_in(key, i), indices) for i in range(6)
        )
        if self.protocol.test_images_augmented:
            augmented = self.model.preprocessing.augment(crop_keys, batch.images)
            batch = batch._replace(images=augmented)
            if self.model.paired:
                same_keys = jax.random.clone(crop_keys)
                partners = self.model.preprocessing.augment(same_keys, batch.endpoints)
                batch = batch._replace(endpoints=partners)
        x_0, degrade, x_T = degrade_batch(
            unbound, degrade_keys, batch, unbound.num_steps
        )
        t = prng.draw_steps(t_keys, degrade.num_steps)
        restore_fn = self._restore_fn(params, degrade, batch.labels, drop_keys)
        model = self.model
        values = {
            "t": t,
            "loss": restoration_loss(
                restore_fn,
                degrade,
                x_0,
                t,
                distance=model.distance,
                target=model.target,
                compare=model.compare,
            ),
        }
        restored = self._restored(restore_fn, degrade, x_T, noise_keys, sampler_keys)
        if not self.protocol.values_not_clipped:
            # Clipping would turn infinite values into white or black.
            restored = {
                name: jnp.where(jnp.isfinite(x), images.as_saved(x), jnp.nan)
                for name, x in restored.items()
            }
        for name, x in restored.items():
            values[f"mse/{name}"] = metrics.mean_squared_error(x, x_0)
            values[f"ssim/{name}"] = metrics.ssim(x, x_0)
            if min(x_0.shape[1:3]) >= MS_SSIM_SIDE:
                values[f"ms_ssim/{name}"] = metrics.ms_ssim(x, x_0)
        restored = {"clean": x_0, **restored}
        for net, net_weights in zip(self.nets, weights, strict=True):
            values |= _features(net, net_weights, restored)
        pictures = {
            name: jnp.round((images.as_saved(x) + 1) * 127.5).astype(jnp.uint8)
            for name, x in restored.items()
        }
        return values, pictures

    def _restore_fn(
        self,
        params: Any,
        degrade: Degradation,
        labels: chex.Array | None,
        drop_keys: chex.PRNGKey,
    ) -> Any:
        if not self.protocol.dropout_on:
            return self.model.restore_fn(params, labels=labels, degrade=degrade)
        options = {} if labels is None else {"labels": labels}

        def restore_fn(x_t: chex.Array, t: chex.Array) -> chex.Array:
            keys = jax.vmap(jax.random.fold_in)(drop_keys, t)
            variables = {"params": params}
            return self.model.network.apply(
                variables, x_t, t, dropout_keys=keys, **options
            )

        return self.model.made_consistent(restore_fn, degrade)

    def _restored(
        self,
        restore_fn: Any,
        degrade: Degradation,
        x_T: chex.Array,
        noise_keys: chex.PRNGKey,
        sampler_keys: chex.PRNGKey,
    ) -> dict[str, chex.Array]:
        """Returns x_T as "degraded", and x_0 by sampler."""
        protocol = self.protocol
        T = degrade.num_steps
        noise = jnp.zeros_like(x_T)
        if protocol.noise_on_flat_start:
            draw = functools.partial(jax.random.normal, shape=x_T.shape[1:])
            noise = START_NOISE * jax.vmap(draw)(noise_keys)
        x_T += noise
        sampled = (
            _OneStepBehind(degrade) if protocol.sampler_one_step_behind else degrade
        )
        restored = run_samplers(
            self.specs,
            restore_fn,
            sampled,
            x_T,
            key=sampler_keys,
            endpoint=self.endpoint,
            last_step="direct" if protocol.prediction_as_sample else "full",
        )
        for spec in self.specs:
            if spec.sampler != "direct":
                restored[spec.name] -= noise
        degraded = x_T
        if protocol.degraded_after_one_step:
            direct = restore_fn(x_T, jnp.full(len(x_T), T))
            degraded = x_T - sampled(direct, T) + sampled(direct, T - 1)
        return {"degraded": degraded, **restored}


def _features(
    net: FeatureNet, weights: Any, restored: dict[str, chex.Array]
) -> dict[str, chex.Array]:
    """Returns features of all sets, and class probabilities of all but the clean."""
    # One set at a time: a feature network may be larger than the restorer.
    features = jax.lax.map(
        functools.partial(net.apply, weights), jnp.stack([*restored.values()])
    )
    values = {}
    for name, pooled in zip(restored, features.pooled, strict=True):
        values[f"pooled/{net.name}/{name}"] = pooled
    if features.probabilities is not None:
        for name, rows in zip(restored, features.probabilities, strict=True):
            if name != "clean":
                values[f"probabilities/{net.name}/{name}"] = rows
    return values


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _OneStepBehind:
    """D(., t - 1) in place of D(., t)."""

    degrade: Degradation

    @property
    def num_steps(self) -> int:
        return self.degrade.num_steps

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> "_OneStepBehind":
        return _OneStepBehind(self.degrade.bind(key, shape))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        return self.degrade(x, jnp.maximum(jnp.asarray(t) - 1, 0))


def _check_finite(values: dict[str, np.ndarray], indices: Sequence[int]) -> None:
    for name, found in values.items():
        finite = np.isfinite(found.reshape(len(found), -1)).all(axis=1)
        if not finite.all():
            where = int(np.argmin(finite))
            raise InputError(
                f"{name} of image {indices[where]} is not a finite number; inspect "
                "that image, or try another `checkpoint`"
            )
