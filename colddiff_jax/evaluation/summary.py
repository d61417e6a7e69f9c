"""Aggregates the scores of single images into the numbers of a table."""

import collections
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.feature_nets import FeatureNet
from colddiff_jax.metrics.distances import (
    Moments,
    MomentsAccumulator,
    frechet_distance,
    kernel_distance,
)
from colddiff_jax.metrics.inception_score import inception_score
from colddiff_jax.metrics.neighbours import precision_recall
from colddiff_jax.metrics.reference import MAX_FEATURES, Reference

_BEST_PSNR = 100.0  # In dB; the PSNR of equal images is infinite.
_OFFICIAL_BATCH = 50
NUM_NEIGHBOURS = 3


class Summary:
    """Combines the scores of all batches.

    Frechet distances are computed from all images; kernel distance, precision, recall
    and Inception Score from up to 10,000 images, a random subset that is the same for
    every sampler. At most two sets of features are in memory at a time.

    Args:
        batches: the scores of each batch by name; iterated over many times.
        samplers: the names of the samplers, in the order of a table.
        protocol: the protocol that the scores were computed with.
    """

    def __init__(
        self,
        batches: Iterable[Mapping[str, np.ndarray]],
        samplers: Sequence[str],
        protocol: Protocol,
    ):
        self._batches, self._samplers, self._protocol = batches, samplers, protocol

    @functools.cached_property
    def per_image(self) -> dict[str, np.ndarray]:
        """Scores of single images, float [N], by name."""
        found: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        for batch in self._batches:
            for name in batch:
                if not name.startswith(("pooled/", "probabilities/")):
                    found[name].append(batch[name])
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def pixels(self) -> dict[str, dict[str, float]]:
        """Returns the scores against the clean images, by sampler."""
        scores = self.per_image
        found = {}
        for sampler in self._samplers:
            mse = scores[f"mse/{sampler}"].astype(np.float64)
            with np.errstate(divide="ignore"):
                decibels = np.minimum(-10 * np.log10(mse), _BEST_PSNR)
            found[sampler] = {
                "rmse": float(np.sqrt(mse.mean())),
                "rmse_per_image": float(np.sqrt(mse).mean()),
                "psnr": float(decibels.mean()),
            }
            for metric in ("ssim", "ms_ssim"):
                if f"{metric}/{sampler}" in scores:
                    values = scores[f"{metric}/{sampler}"]
                    found[sampler][metric] = float(values.mean(dtype=np.float64))
        return found

    def loss(self) -> float:
        """Returns the held-out training loss."""
        return float(self.per_image["loss"].mean(dtype=np.float64))

    def reference(self, net: FeatureNet, name: str, data: dict[str, Any]) -> Reference:
        """Returns statistics of the clean images, to be saved."""
        key = f"pooled/{net.name}/clean"
        return Reference(
            name=name,
            feature_net=net.name,
            feature_fingerprint=net.fingerprint,
            data=data,
            moments=self._moments(key, unfilled=False),
            features=self._subset(key),
        )

    def distances(
        self, net: FeatureNet, reference: Reference | None, seed: int
    ) -> dict[str, dict[str, float]]:
        """Returns distances of the restored images to a reference, by sampler.

        Args:
            net: the network whose features are compared.
            reference: the set to compare with; None for the clean images.
            seed: the seed of the subsets for the kernel distance.
        """
        clean = f"pooled/{net.name}/clean"
        found: dict[str, dict[str, float]] = {}
        unfilled = self._protocol.feature_rows_unfilled
        if reference is None:
            target, features = self._moments(clean, unfilled), self._subset(clean)
        else:
            target, features = reference.moments, reference.features
        for sampler in self._samplers:
            key = f"pooled/{net.name}/{sampler}"
            own = self._moments(key, unfilled), self._subset(key)
            found[sampler] = distances_between((target, features), own, seed)
            probabilities = f"probabilities/{net.name}/{sampler}"
            if any(probabilities in batch for batch in self._batches):
                rows = self._subset(probabilities)
                parts = min(10, len(rows))
                mean, spread = inception_score(rows, num_splits=parts)
                found[sampler] |= {
                    "inception_score": mean,
                    "inception_score_std": spread,
                }
        return found

    def _subset(self, name: str) -> np.ndarray:
        """Returns the rows of up to 10,000 random images, in random order.

        Data sets are often sorted, and scores of parts of a sorted set are misleading.
        """
        count = len(self.per_image["loss"])
        order = random_order(count)
        size = min(count, MAX_FEATURES)
        subset, start = None, 0
        for batch in self._batches:
            rows = batch[name]
            positions = order[start : start + len(rows)]
            start += len(rows)
            if subset is None:
                subset = np.empty((size, *rows.shape[1:]), rows.dtype)
            subset[positions[positions < size]] = rows[positions < size]
        assert subset is not None
        return subset

    def _moments(self, name: str, unfilled: bool) -> Moments:
        """Returns the mean and covariance of the rows of all images.

        Args:
            name: the name of the rows.
            unfilled: whether to zero the rows after the last full batch of 50.
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


def random_order(count: int) -> np.ndarray:
    """Returns the places of rows in an order that is random, and always the same."""
    return np.random.default_rng(0).permutation(count)


def distances_between(
    reference: tuple[Moments, np.ndarray], own: tuple[Moments, np.ndarray], seed: int
) -> dict[str, float]:
    """Returns the distances between two sets of images.

    Args:
        reference: moments and features [N, F] of one set.
        own: moments and features [M, F] of the set that is evaluated.
        seed: the seed of the subsets for the kernel distance.
    """
    (x, x_features), (y, y_features) = reference, own
    kernel, spread = kernel_distance(x_features, y_features, seed=seed)
    overlap = precision_recall(x_features, y_features, num_neighbours=NUM_NEIGHBOURS)
    return {
        "frechet": frechet_distance(x, y),
        "kernel": kernel,
        "kernel_std": spread,
        "precision": overlap.precision,
        "recall": overlap.recall,
    }


def chosen_by_rmse(squared_errors: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Returns the indices of the best, median and worst images, `count` of each."""
    order = np.argsort(squared_errors, kind="stable")
    count = min(count, len(order))
    middle = (len(order) - count) // 2
    return {
        "best": order[:count],
        "median": order[middle : middle + count],
        "worst": order[::-1][:count],
    }
