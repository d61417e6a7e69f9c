"""Precision and recall of a set of images, from nearest neighbours."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.checks import InputError
from colddiff_jax.metrics.distances import check_rows, check_same_length

_CHUNK_BYTES = 2**26  # Memory for the distances of one chunk of rows.
_ROUNDING = 1e-12  # Of squared distances, relative to the features' squared lengths.


class PrecisionRecall(NamedTuple):
    """Precision and recall of a set of images.

    Attributes:
        precision: fraction of the evaluated images that lie within the reference set,
            in 0..1; a measure of quality.
        recall: fraction of the reference images that lie within the evaluated set, in
            0..1; a measure of diversity.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 50, 8))
        >>> precision, recall = precision_recall(x, y)
    """

    precision: float
    recall: float


def precision_recall(
    reference: ArrayLike, features: ArrayLike, *, num_neighbours: int = 3
) -> PrecisionRecall:
    """Computes precision and recall of a set of images by nearest neighbours.

        precision = mean_j [ |y_j - x_i| <= r_k(x_i) for some i ]
        recall    = mean_i [ |x_i - y_j| <= r_k(y_j) for some j ]

    with x the reference, y the features and r_k the distance to the k-th nearest other
    image of the same set. Duplicates count as neighbours: an image with k duplicates
    has r_k = 0, and only further duplicates lie within its radius. Features that differ
    by no more than the rounding of float32 are duplicates.

    Both values fall with the number of images: compare only values for sets of the same
    sizes.

    Args:
        reference: features of real images, [N, F].
        features: features of the evaluated images, [M, F].
        num_neighbours: k.

    Returns:
        Precision and recall, each in 0..1.

    Raises:
        InputError: wrong shapes, features that are not finite, or a set of at most k
            images.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 8))
        >>> precision_recall(x, x)
        PrecisionRecall(precision=1.0, recall=1.0)

    Reference:
        Kynkaanniemi et al. (2019), Improved precision and recall metric for assessing
        generative models; k = 3 is theirs.
    """
    x, y = check_rows(reference, "reference"), check_rows(features, "features")
    check_same_length(x, "reference", y, "features")
    if num_neighbours < 1:
        raise InputError(f"num_neighbours must be at least 1, got {num_neighbours}")
    for name, values in (("reference", x), ("features", y)):
        if len(values) <= num_neighbours:
            raise InputError(
                f"{name} must hold more than num_neighbours = {num_neighbours} "
                f"images, got {len(values)}; add more"
            )
    x_radii, y_radii = (_squared_radii(rows, num_neighbours) for rows in (x, y))
    x_covered, y_covered = np.zeros(len(x), bool), np.zeros(len(y), bool)
    for rows in _chunks(len(y), len(x)):
        distances = _squared_distances(y[rows], x, rounding=_ROUNDING)
        y_covered[rows] = (distances <= x_radii).any(axis=1)
        x_covered |= (distances <= y_radii[rows, None]).any(axis=0)
    return PrecisionRecall(float(y_covered.mean()), float(x_covered.mean()))


def _squared_radii(x: np.ndarray, num_neighbours: int) -> np.ndarray:
    """Returns the squared distance of each row to its k-th nearest other row."""
    radii = np.empty(len(x))
    for rows in _chunks(len(x), len(x)):
        distances = _squared_distances(x[rows], x)
        distances[np.arange(len(distances)), np.arange(len(x))[rows]] = np.inf
        distances.partition(num_neighbours - 1, axis=1)
        radii[rows] = distances[:, num_neighbours - 1]
    return radii


def _squared_distances(
    x: np.ndarray, y: np.ndarray, *, rounding: float = 0.0
) -> np.ndarray:
    """Returns |x_i - y_j|^2 [N, M], reduced by the possible rounding error."""
    distances = x @ y.T
    distances *= -2
    distances += (1 - rounding) * np.einsum("ij,ij->i", x, x)[:, None]
    distances += (1 - rounding) * np.einsum("ij,ij->i", y, y)
    return distances


def _chunks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Yields slices of rows, short enough to bound the memory for distances."""
    step = max(1, _CHUNK_BYTES // (8 * num_columns))
    return (slice(start, start + step) for start in range(0, num_rows, step))
