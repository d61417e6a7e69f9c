"""Features of sets of images that are in memory, and distances between the sets."""

from collections.abc import Mapping, Sequence
from typing import Any

import chex
import numpy as np

from colddiff_jax.evaluation.description import name_of
from colddiff_jax.evaluation.summary import distances_between, random_order
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.io.images import to_float
from colddiff_jax.metrics.distances import Moments, MomentsAccumulator
from colddiff_jax.metrics.reference import (
    MAX_FEATURES,
    Reference,
    check_reference,
    note_few_images,
)
from colddiff_jax.sampling import BatchSampler


class SetFeatures:
    """Computes features of sets of images with one compiled program.

    Args:
        net: the feature network.
        batch_size: images at once, over all devices of this process.
    """

    def __init__(self, net: FeatureNet, batch_size: int):
        def pooled(params: Any, pixels: chex.Array) -> chex.Array:
            return net.apply(params, to_float(pixels)).pooled

        self._net = net
        self._run = BatchSampler(pooled, batch_size=batch_size)

    def __call__(
        self, pixels: np.ndarray, *, progress: str = ""
    ) -> tuple[Moments, np.ndarray]:
        """Returns the moments of a set, and the features of a part in random order.

        Args:
            pixels: uint8 [N, H, W, C].
            progress: the label of a progress bar on a terminal; empty for no bar.

        Returns:
            The moments of all images, and the features of up to 10,000, [n, F].

        Raises:
            InputError: features that are not finite.
        """
        moments = MomentsAccumulator()
        order, size = random_order(len(pixels)), min(len(pixels), MAX_FEATURES)
        subset, start = np.empty(0), 0
        for rows in self._run.stream(
            self._net.params,
            lambda first, stop: pixels[first:stop],
            len(pixels),
            progress=progress,
        ):
            moments.add(rows)
            if not start:
                subset = np.empty((size, rows.shape[1]), rows.dtype)
            places = order[start : start + len(rows)]
            subset[places[places < size]] = rows[places < size]
            start += len(rows)
        return moments.finish(), subset


class SetDistances:
    """Distances of sets of images to a reference set, by feature network.

    Args:
        pixels: the reference set, uint8 [N, H, W, C].
        data: its description, as in `Reference.data`.
        nets: the feature networks.
        references: saved statistics to compare with instead, by feature network.
        batch_size: images at once, over all devices of this process.
        progress: whether to show progress bars on a terminal.

    Attributes:
        references: statistics of the sets that are compared with, by feature network.
        notes: caveats about the distances.

    Raises:
        InputError: saved statistics that do not fit, or features that are not finite.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        data: dict[str, Any],
        nets: Sequence[FeatureNet],
        references: Mapping[str, Reference],
        batch_size: int,
        progress: bool,
    ):
        self._features = {net.name: SetFeatures(net, batch_size) for net in nets}
        self._progress = progress
        self.references = dict(references)
        self.notes: list[str] = []
        for net in nets:
            if net.name in references:
                self.notes += check_reference(references[net.name], net, data)
        for net in nets:
            if net.name in references:
                continue
            moments, features = self._compute(net.name, pixels)
            reference = Reference(
                name=name_of(data),
                feature_net=net.name,
                feature_fingerprint=net.fingerprint,
                data=data,
                moments=moments,
                features=features,
            )
            self.references[net.name] = reference
            self.notes += note_few_images(reference)

    def scores(self, pixels: np.ndarray, seed: int) -> dict[str, dict[str, float]]:
        """Returns the distances of a set, by feature network."""
        return {
            name: distances_between(
                (self.references[name].moments, self.references[name].features),
                self._compute(name, pixels),
                seed,
            )
            for name in self._features
        }

    def _compute(self, name: str, pixels: np.ndarray) -> tuple[Moments, np.ndarray]:
        label = f"features, {name}" if self._progress else ""
        return self._features[name](pixels, progress=label)
