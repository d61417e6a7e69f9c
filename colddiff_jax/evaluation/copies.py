"""Copies of training images among generated ones."""

from typing import Any

import numpy as np

from colddiff_jax.metrics import copied_share, nearest_images

NUM_SHOWN = 10
"""The number of images that are shown with the training images near them."""
_QUANTILE = 0.01  # The share of test images that count as copies.
_FEW = 100  # Fewer test images say little about their quantile of 1 %.
_SEARCHED = 1000  # Images that are searched for at once.


class Copies:
    """The share of copies of training images in sets of images.

    Args:
        train: the training images, uint8 [M, H, W, C].
        test: the test images, likewise.
        mirrored: whether half of the training images were mirrored in training.
        progress: whether to show progress bars on a terminal.

    Attributes:
        settings: how copies are recognised, as JSON.
        notes: caveats about the share.
    """

    def __init__(
        self, train: np.ndarray, test: np.ndarray, *, mirrored: bool, progress: bool
    ):
        self._train, self._mirrored = train, mirrored
        self._progress = "nearest images" if progress else ""
        self._fresh, _ = self._nearest(test)
        self.settings: dict[str, Any] = {
            "quantile": _QUANTILE,
            "threshold": float(np.quantile(self._fresh, _QUANTILE)),
            "test_images": len(test),
            "training_images": len(self._train),
            "mirrored": mirrored,
        }
        self.notes: list[str] = []
        if len(self._fresh) < _FEW:
            self.notes.append(
                f"the threshold for copies is uncertain: it is the 1 % quantile of "
                f"only {len(self._fresh)} test images"
            )

    def scores(
        self, pixels: np.ndarray
    ) -> tuple[dict[str, float], tuple[np.ndarray, np.ndarray]]:
        """Returns scores of a set, and its nearest images with the training images."""
        distances, nearest = self._nearest(pixels)
        share = copied_share(distances, self._fresh, quantile=_QUANTILE)
        shown = np.argsort(distances, kind="stable")[:NUM_SHOWN]
        scores = {"share": share, "rmse": float(np.median(distances))}
        return scores, (pixels[shown], nearest[shown])

    def _nearest(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return nearest_training_images(
            pixels, self._train, mirrored=self._mirrored, progress=self._progress
        )


def nearest_training_images(
    pixels: np.ndarray, train: np.ndarray, *, mirrored: bool, progress: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest training image of each image.

    Args:
        pixels: uint8 [N, H, W, C].
        train: the training images, uint8 [M, H, W, C].
        mirrored: whether half of them were mirrored in training, so that copies may be.
        progress: the label of a progress bar on a terminal; empty for no bar.

    Returns:
        The distances, float64 [N], as `nearest_images` defines them, and the nearest
        training images, mirrored where that is nearer, uint8 [N, H, W, C].
    """

    def search(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = nearest_images(part, train)
        distances, nearest = found.distances, train[found.indices]
        if mirrored:
            other = nearest_images(part[:, :, ::-1], train)
            nearer = other.distances < distances
            distances = np.where(nearer, other.distances, distances)
            nearest[nearer] = train[other.indices[nearer], :, ::-1]
        return distances, nearest

    from tqdm import tqdm

    starts = tqdm(
        range(0, len(pixels), _SEARCHED),
        desc=progress,
        disable=None if progress else True,
    )
    parts = [search(pixels[first : first + _SEARCHED]) for first in starts]
    distances, nearest = zip(*parts, strict=True)
    return np.concatenate(distances), np.concatenate(nearest)
