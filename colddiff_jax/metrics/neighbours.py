"""How much of one set of images lies within the other, and the reverse."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.errors import InputError
from colddiff_jax.metrics.distances import check_rows, check_same_length

_CHUNK_BYTES = 2**26  # Of distances that are in memory at once.
_ROUNDING = 1e-12  # Of squared distances, relative to the features' squared lengths.


class PrecisionRecall(NamedTuple):
    """Shares of images.

    Attributes:
        precision: of the judged images that lie among the reference ones, in 0..1:
            how good they are.
        recall: of the reference images that lie among the judged ones, in 0..1: how
            much of the variety they have.
    """

    precision: float
    recall: float


def precision_recall(
    reference: ArrayLike, features: ArrayLike, *, num_neighbours: int = 3
) -> PrecisionRecall:
    """Precision and recall of a set of images, by nearest neighbours.

        precision = mean_j [ |y_j - x_i| <= r_k(x_i) for an i ]
        recall    = mean_i [ |x_i - y_j| <= r_k(y_j) for a j ]

    with x the reference, y the features and r_k the distance to the k-th nearest other
    image of the same set. Copies count as images: with k copies besides it, an image
    has r_k = 0, and only further copies lie within. What differs by no more than
    the rounding of float32 is a copy.

    Both fall with fewer images: compare only figures of as many in both sets.

    Args:
        reference: features of real images, [N, F].
        features: of the judged images, [M, F].
        num_neighbours: k.

    Returns:
        Two shares in 0..1.

    Raises:
        InputError: other shapes, features that are not finite, or no more than k
            images.

    Example:
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
                f"{name} must be of more than num_neighbours = {num_neighbours} "
                f"images, got {len(values)}; take more"
            )
    x_radii, y_radii = (_squared_radii(rows, num_neighbours) for rows in (x, y))
    x_covered, y_covered = np.zeros(len(x), bool), np.zeros(len(y), bool)
    for rows in _chunks(len(y), len(x)):
        distances = _squared_distances(y[rows], x, rounding=_ROUNDING)
        y_covered[rows] = (distances <= x_radii).any(axis=1)
        x_covered |= (distances <= y_radii[rows, None]).any(axis=0)
    return PrecisionRecall(float(y_covered.mean()), float(x_covered.mean()))


def _squared_radii(x: np.ndarray, num_neighbours: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row."""
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
    """|x_i - y_j|^2 [N, M], less what may be rounding."""
    distances = x @ y.T
    distances *= -2
    distances += (1 - rounding) * np.einsum("ij,ij->i", x, x)[:, None]
    distances += (1 - rounding) * np.einsum("ij,ij->i", y, y)
    return distances


def _chunks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Slices of rows, so few at once that memory stays bounded."""
    step = max(1, _CHUNK_BYTES // (8 * num_columns))
    return (slice(start, start + step) for start in range(0, num_rows, step))
