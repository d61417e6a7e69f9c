"""From the scores of single images to the numbers of a table."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from colddiff_jax.errors import InputError
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
_NEIGHBOURS = 3


class Summary:
    """Takes the scores of batches one after the other, in bounded memory.

    Frechet distances are of all images; of the first 10,000, whose features are kept,
    are kernel distance, precision, recall and Inception Score.

    Args:
        methods: their names, in the order of a table.
        protocol: with which they were made.
    """

    def __init__(self, methods: Sequence[str], protocol: Protocol):
        self._methods, self._protocol = methods, protocol
        self._per_image: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        self._moments: dict[str, MomentsAccumulator] = collections.defaultdict(
            MomentsAccumulator
        )
        self._kept: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        self._num_kept: collections.Counter[str] = collections.Counter()

    def add(self, values: Mapping[str, np.ndarray]) -> None:
        """Takes the scores of the next batch."""
        for name, found in values.items():
            if name.startswith(("pooled/", "probabilities/")):
                room = MAX_FEATURES - self._num_kept[name]
                if room > 0:
                    self._kept[name].append(found[:room])
                    self._num_kept[name] += len(found[:room])
                if name.startswith("pooled/"):
                    self._moments[name].add(found)
            else:
                self._per_image[name].append(found)

    def per_image(self) -> dict[str, np.ndarray]:
        """The scores of single images, float [N], by name."""
        return {name: np.concatenate(x) for name, x in self._per_image.items()}

    def pixels(self) -> dict[str, dict[str, float]]:
        """By method, the scores that compare each image with the clean one."""
        every = self.per_image()
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
        return float(self.per_image()["loss"].mean(dtype=np.float64))

    def reference(self, net: FeatureNet, name: str, data: dict[str, Any]) -> Reference:
        """The statistics of the clean images, to be saved."""
        key = f"pooled/{net.name}/clean"
        return Reference(
            name=name,
            feature_net=net.name,
            feature_fingerprint=net.fingerprint,
            data=data,
            moments=self._moments[key].finish(),
            features=np.concatenate(self._kept[key]),
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
        if reference is None:
            target = self._moments_of(clean)
            features = np.concatenate(self._kept[clean])
        else:
            target, features = reference.moments, reference.features
        for method in self._methods:
            key = f"pooled/{net.name}/{method}"
            own = np.concatenate(self._kept[key])
            kernel, spread = kernel_distance(features, own, seed=seed)
            shares = precision_recall(features, own, num_neighbours=_NEIGHBOURS)
            found[method] = {
                "frechet": frechet_distance(target, self._moments_of(key)),
                "kernel": kernel,
                "kernel_std": spread,
                "precision": shares.precision,
                "recall": shares.recall,
            }
            probabilities = self._kept.get(f"probabilities/{net.name}/{method}")
            if probabilities:
                rows = np.concatenate(probabilities)
                parts = min(10, len(rows))
                mean, spread = inception_score(rows, num_splits=parts)
                found[method] |= {
                    "inception_score": mean,
                    "inception_score_std": spread,
                }
        return found

    def _moments_of(self, key: str) -> Moments:
        """Mean and covariance of all images, as the protocol counts them."""
        moments = self._moments[key].finish()
        missing = moments.count % _OFFICIAL_BATCH
        if not (self._protocol.feature_rows_unfilled and missing):
            return moments
        # Rows of zeros in place of the last ones, whose features are at hand only if
        # all are kept.
        if self._num_kept[key] < moments.count:
            raise InputError(
                "the fault feature_rows_unfilled needs at most "
                f"{MAX_FEATURES} images, or a multiple of {_OFFICIAL_BATCH}"
            )
        rows = np.concatenate(self._kept[key]).copy()
        rows[-missing:] = 0
        accumulator = MomentsAccumulator()
        accumulator.add(rows)
        return accumulator.finish()


def check_number(num_images: int, nets: Sequence[FeatureNet]) -> None:
    """Raises InputError for too few images to tell distances between sets."""
    least = _NEIGHBOURS + 2
    if nets and num_images < least:
        raise InputError(
            f"distances between sets need at least {least} images, got {num_images}; "
            "take more with --num_images or none of them with --features=none"
        )
