"""From the scores of single images to the numbers of a table."""

import collections
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.metrics.distances import (
    Moments,
    MomentsAccumulator,
    frechet_distance,
    kernel_distance,
)
from colddiff_jax.metrics.features import FeatureNet
from colddiff_jax.metrics.inception_score import inception_score
from colddiff_jax.metrics.neighbours import precision_recall
from colddiff_jax.metrics.reference import MAX_FEATURES, Reference

_BEST_PSNR = 100.0  # Decibels; that of equal images is infinite.
_OFFICIAL_BATCH = 50
NUM_NEIGHBOURS = 3


class Summary:
    """Puts the scores of all batches together.

    Frechet distances are of all images; of up to 10,000, drawn at random but the same
    for every method, are kernel distance, precision, recall and Inception Score. The
    features of two sets are in memory at a time.

    Args:
        batches: the scores of each batch by name; they are gone through many times.
        methods: their names, in the order of a table.
        protocol: with which they were made.
    """

    def __init__(
        self,
        batches: Iterable[Mapping[str, np.ndarray]],
        methods: Sequence[str],
        protocol: Protocol,
    ):
        self._batches, self._methods, self._protocol = batches, methods, protocol

    @functools.cached_property
    def per_image(self) -> dict[str, np.ndarray]:
        """The scores of single images, float [N], by name."""
        found: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        for batch in self._batches:
            for name in batch:
                if not name.startswith(("pooled/", "probabilities/")):
                    found[name].append(batch[name])
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def pixels(self) -> dict[str, dict[str, float]]:
        """By method, the scores that compare each image with the clean one."""
        every = self.per_image
        found = {}
        for method in self._methods:
            mse = every[f"mse/{method}"].astype(np.float64)
            with np.errstate(divide="ignore"):
                decibels = np.minimum(-10 * np.log10(mse), _BEST_PSNR)
            found[method] = {
                "rmse": float(np.sqrt(mse.mean())),
                "rmse_per_image": float(np.sqrt(mse).mean()),
                "psnr": float(decibels.mean()),
            }
            for metric in ("ssim", "ms_ssim"):
                if f"{metric}/{method}" in every:
                    values = every[f"{metric}/{method}"]
                    found[method][metric] = float(values.mean(dtype=np.float64))
        return found

    def loss(self) -> float:
        """The held-out training loss."""
        return float(self.per_image["loss"].mean(dtype=np.float64))

    def reference(self, net: FeatureNet, name: str, data: dict[str, Any]) -> Reference:
        """The statistics of the clean images, to be saved."""
        key = f"pooled/{net.name}/clean"
        return Reference(
            name=name,
            feature_net=net.name,
            feature_fingerprint=net.fingerprint,
            data=data,
            moments=self._moments(key, unfilled=False),
            features=self._drawn(key),
        )

    def distances(
        self, net: FeatureNet, reference: Reference | None, seed: int
    ) -> dict[str, dict[str, float]]:
        """By method, the distances between the restored images and others.

        Args:
            net: on the features of this network.
            reference: the others; None for the clean images themselves.
            seed: of the subsets for KID.
        """
        clean = f"pooled/{net.name}/clean"
        found: dict[str, dict[str, float]] = {}
        unfilled = self._protocol.feature_rows_unfilled
        if reference is None:
            target, features = self._moments(clean, unfilled), self._drawn(clean)
        else:
            target, features = reference.moments, reference.features
        for method in self._methods:
            key = f"pooled/{net.name}/{method}"
            own = self._drawn(key)
            kernel, spread = kernel_distance(features, own, seed=seed)
            shares = precision_recall(features, own, num_neighbours=NUM_NEIGHBOURS)
            found[method] = {
                "frechet": frechet_distance(target, self._moments(key, unfilled)),
                "kernel": kernel,
                "kernel_std": spread,
                "precision": shares.precision,
                "recall": shares.recall,
            }
            probabilities = f"probabilities/{net.name}/{method}"
            if any(probabilities in batch for batch in self._batches):
                rows = self._drawn(probabilities)
                parts = min(10, len(rows))
                mean, spread = inception_score(rows, num_splits=parts)
                found[method] |= {
                    "inception_score": mean,
                    "inception_score_std": spread,
                }
        return found

    def _drawn(self, name: str) -> np.ndarray:
        """The rows of up to 10,000 images in random order: sets are sorted, often."""
        count = len(self.per_image["loss"])
        place = np.random.default_rng(0).permutation(count)
        num_drawn = min(count, MAX_FEATURES)
        drawn, start = None, 0
        for batch in self._batches:
            rows = batch[name]
            places = place[start : start + len(rows)]
            start += len(rows)
            if drawn is None:
                drawn = np.empty((num_drawn, *rows.shape[1:]), rows.dtype)
            drawn[places[places < num_drawn]] = rows[places < num_drawn]
        assert drawn is not None
        return drawn

    def _moments(self, name: str, unfilled: bool) -> Moments:
        """Mean and covariance of all images.

        Args:
            name: of the rows.
            unfilled: put zeros in place of what is left over from batches of 50.
        """
        count = len(self.per_image["loss"])
        filled = count - count % _OFFICIAL_BATCH if unfilled else count
        accumulator = MomentsAccumulator()
        start = 0
        for batch in self._batches:
            rows = batch[name].copy()
            rows[max(filled - start, 0) :] = 0
            accumulator.add(rows)
            start += len(rows)
        return accumulator.finish()
