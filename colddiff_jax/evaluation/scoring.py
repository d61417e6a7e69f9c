"""Degrades, restores and scores images: one compiled program on all devices."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import images, metrics, parallel
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.errors import InputError
from colddiff_jax.evaluation.image_set import ImageSet, load_batch
from colddiff_jax.evaluation.methods import Method, restore
from colddiff_jax.evaluation.protocol import SOUND, START_NOISE, Protocol
from colddiff_jax.losses import restoration_loss
from colddiff_jax.metrics.features import FeatureNet
from colddiff_jax.metrics.pixel import MS_SSIM_SIDE
from colddiff_jax.sampling.batches import BatchSampler
from colddiff_jax.training import draws
from colddiff_jax.training.experiment import Experiment
from colddiff_jax.training.objective import bind


class Scores(NamedTuple):
    """What is found for the images of a batch.

    Attributes:
        values: per image, by name: "loss" (the held-out training loss at the step "t",
            drawn per image) and "METRIC/METHOD", float [B]; "pooled/NET/METHOD" and
            "probabilities/NET/METHOD", float [B, F], the former of "clean", too.
        pictures: by method, and "clean", uint8 [B, H, W, C].
    """

    values: dict[str, np.ndarray]
    pictures: dict[str, np.ndarray]


class Scorer:
    """Scores images with one compiled program.

    Every random draw depends on (seed, number of the image) alone, so scores do not
    change with the batch size or the devices.

    Args:
        experiment: the network, the degradation and how images become squares.
        methods: how to restore.
        nets: what tells features, for distances between sets.
        protocol: which faults to repeat.
        batch_size: images at once, over all devices of this process.
        endpoint: of a blend, held or estimated at every step.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        methods: Sequence[Method],
        nets: Sequence[FeatureNet] = (),
        protocol: Protocol = SOUND,
        batch_size: int,
        endpoint: Literal["fixed", "estimated"] = "fixed",
    ):
        self._experiment = experiment
        self._augmented = protocol.test_images_augmented
        program = _Program(experiment, tuple(methods), tuple(nets), protocol, endpoint)
        self._run = BatchSampler(program, batch_size=batch_size)
        self._batch_size = batch_size
        self._degrade = parallel.replicate(experiment.degrade)
        self._weights = parallel.replicate([net.params for net in nets])

    def stream(
        self,
        params: Any,
        found: ImageSet,
        seed: int,
        numbers: Sequence[int],
        *,
        progress: str = "",
    ) -> Iterator[Scores]:
        """Scores the images with these numbers, batch by batch.

        Args:
            params: of the network.
            found: the images.
            seed: of all draws.
            numbers: of the images, which need not follow each other.
            progress: text before a progress bar on a terminal; none if empty.

        Raises:
            InputError: a score that is NaN or infinite.
        """

        def load(start: int, stop: int) -> tuple[Batch, np.ndarray]:
            chosen = np.asarray(numbers[start:stop])
            cut = not self._augmented
            return load_batch(found, self._experiment, chosen, cut=cut), chosen

        key = parallel.replicate(draws.stream(seed, "evaluate"))
        shared = (params, self._degrade, key, self._weights)
        results = self._run.stream(shared, load, len(numbers), progress=progress)
        for count, (values, pictures) in enumerate(results):
            first = count * self._batch_size
            _check_finite(values, numbers[first : first + self._batch_size])
            yield Scores(values, pictures)


@dataclasses.dataclass(frozen=True, eq=False)
class _Program:
    """The scores and pictures of one device's share of a batch."""

    experiment: Experiment
    methods: tuple[Method, ...]
    nets: tuple[FeatureNet, ...]
    protocol: Protocol
    endpoint: Literal["fixed", "estimated"]

    def __call__(
        self, shared: tuple[Any, Degradation, chex.PRNGKey, list[Any]], batch: Any
    ) -> tuple[dict[str, chex.Array], dict[str, chex.Array]]:
        params, degrade, key, weights = shared
        (pixels, labels, endpoints), numbers = batch
        t_keys, degrade_keys, cut_keys, drop_keys, noise_keys = (
            draws.example_keys(jax.random.fold_in(key, i), numbers) for i in range(5)
        )
        if self.protocol.test_images_augmented:
            pixels = self.experiment.preprocessing.augment(cut_keys, pixels)
        x_0 = images.to_float(pixels)
        t = draws.draw_steps(t_keys, degrade.num_steps)
        degrade = bind(degrade, degrade_keys, x_0.shape, endpoints)
        restore_fn = self._restore_fn(params, labels, drop_keys)
        distance = self.experiment.objective.distance
        values = {
            "t": t,
            "loss": restoration_loss(restore_fn, degrade, x_0, t, distance=distance),
        }
        found = self._restored(restore_fn, degrade, x_0, noise_keys)
        if not self.protocol.values_not_clipped:
            # What is infinite must not be saved as white or black.
            found = {
                name: jnp.where(jnp.isfinite(x), images.as_saved(x), jnp.nan)
                for name, x in found.items()
            }
        for name, x in found.items():
            values[f"mse/{name}"] = metrics.mean_squared_error(x, x_0)
            values[f"ssim/{name}"] = metrics.ssim(x, x_0)
            if min(x_0.shape[1:3]) >= MS_SSIM_SIDE:
                values[f"ms_ssim/{name}"] = metrics.ms_ssim(x, x_0)
        found = {"clean": x_0, **found}
        for net, net_weights in zip(self.nets, weights, strict=True):
            # One set after the other: a feature network may be larger than ours.
            features = jax.lax.map(
                functools.partial(net.apply, net_weights), jnp.stack([*found.values()])
            )
            for name, pooled in zip(found, features.pooled, strict=True):
                values[f"pooled/{net.name}/{name}"] = pooled
            if features.probabilities is not None:
                for name, rows in zip(found, features.probabilities, strict=True):
                    if name != "clean":
                        values[f"probabilities/{net.name}/{name}"] = rows
        pictures = {
            name: jnp.round((images.as_saved(x) + 1) * 127.5).astype(jnp.uint8)
            for name, x in found.items()
        }
        return values, pictures

    def _restore_fn(
        self, params: Any, labels: chex.Array | None, drop_keys: chex.PRNGKey
    ) -> Any:
        options = {} if labels is None else {"labels": labels}
        apply = functools.partial(
            self.experiment.model.apply, {"params": params}, **options
        )
        if not self.protocol.dropout_on:
            return apply

        def restore_fn(x_t: chex.Array, t: chex.Array) -> chex.Array:
            keys = jax.vmap(jax.random.fold_in)(drop_keys, t)
            return apply(x_t, t, dropout_keys=keys)

        return restore_fn

    def _restored(
        self,
        restore_fn: Any,
        degrade: Degradation,
        x_0: chex.Array,
        noise_keys: chex.PRNGKey,
    ) -> dict[str, chex.Array]:
        """x_T as "degraded", and x_0 by every method."""
        protocol = self.protocol
        T = degrade.num_steps
        x_T = degrade(x_0, T)
        noise = jnp.zeros_like(x_0)
        if protocol.noise_on_flat_start:
            draw = functools.partial(jax.random.normal, shape=x_0.shape[1:])
            noise = START_NOISE * jax.vmap(draw)(noise_keys)
        x_T += noise
        on_the_way = (
            _OneStepBehind(degrade) if protocol.sampler_one_step_behind else degrade
        )
        restored = restore(
            self.methods,
            restore_fn,
            on_the_way,
            x_T,
            endpoint=self.endpoint,
            last_step="direct" if protocol.prediction_as_sample else "full",
        )
        for method in self.methods:
            if method.sampler != "direct":
                restored[method.name] -= noise
        degraded = x_T
        if protocol.degraded_after_one_step:
            direct = restore_fn(x_T, jnp.full(len(x_T), T))
            degraded = x_T - on_the_way(direct, T) + on_the_way(direct, T - 1)
        return {"degraded": degraded, **restored}


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


def _check_finite(values: dict[str, np.ndarray], numbers: Sequence[int]) -> None:
    for name, found in values.items():
        finite = np.isfinite(found.reshape(len(found), -1)).all(axis=1)
        if not finite.all():
            where = int(np.argmin(finite))
            raise InputError(
                f"{name} of image {numbers[where]} is not a finite number; look at "
                "that image, and at the network's weights with another --checkpoint"
            )
