"""Nearest neighbours: precision and recall of a set of images, and copies in it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.checks import InputError, check_uint8
from colddiff_jax.metrics.distances import check_rows, check_same_length
from colddiff_jax.reprs import short_repr

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


class NearestImages(NamedTuple):
    """The nearest reference image of each image.

    Attributes:
        distances: root mean squared difference of the pixels, whose values are scaled
            to [0, 1]; float64 [N].
        indices: the positions of the nearest images in the reference set, int64 [N].

    Example:
        >>> pixels = np.zeros((5, 8, 8, 1), np.uint8)
        >>> distances, indices = nearest_images(pixels[:2], pixels)
    """

    distances: np.ndarray
    indices: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


def nearest_images(images: ArrayLike, reference: ArrayLike) -> NearestImages:
    """Finds the nearest reference image of each image.

        d_i = min_j sqrt(mean_p (x_ip - y_jp)^2) / 255

    with x the images, y the reference and p the values of an image. All are integers,
    so that squared distances are exact; of equally near images, the first is found. The
    memory needed beyond the images, of one byte per value, does not grow with them.

    Args:
        images: uint8 [N, H, W, C].
        reference: uint8 [M, H, W, C].

    Returns:
        Distances and indices.

    Raises:
        TypeError: images that are not uint8.
        InputError: no images, or images of different shapes.

    Example:
        >>> x = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1), np.uint8)
        >>> distances, indices = nearest_images(x[3:5], x)
        >>> indices
        array([3, 4])
        >>> distances
        array([0., 0.])
    """
    x, y = _flat(images, "images"), _flat(reference, "reference")
    if np.shape(images)[1:] != np.shape(reference)[1:]:
        raise InputError(
            "images and reference must hold images of one shape, got "
            f"{np.shape(images)[1:]} and {np.shape(reference)[1:]}"
        )
    size = x.shape[1]
    squared, indices = np.full(len(x), np.inf), np.zeros(len(x), np.int64)
    for columns in _chunks(len(y), size):
        part = y[columns].astype(np.float64)
        for rows in _chunks(len(x), max(size, len(part))):
            distances = _squared_distances(x[rows].astype(np.float64), part)
            nearest = distances.argmin(axis=1)
            found = distances[np.arange(len(distances)), nearest]
            nearer = found < squared[rows]
            squared[rows] = np.where(nearer, found, squared[rows])
            indices[rows] = np.where(nearer, columns.start + nearest, indices[rows])
    return NearestImages(np.sqrt(squared / size) / 255, indices)


def copied_share(
    distances: ArrayLike, fresh_distances: ArrayLike, *, quantile: float = 0.01
) -> float:
    """Computes the share of images that are unusually near to a training image.

        share = mean_i [ d_i <= q ]

    with d the distance of each image to its nearest training image, and q a quantile of
    the same distances of fresh images, which were not trained on. A model that copies
    no more than chance does has a share of about `quantile`, if its images vary like
    fresh ones: blurred or plain images are near to others without being copies.

    Args:
        distances: from `nearest_images`, for generated images; [N].
        fresh_distances: the same for fresh images, such as test images; [M], of which a
            share of `quantile` should be several images.
        quantile: the share of the fresh images that count as copies, in 0..1.

    Returns:
        The share, in 0..1.

    Raises:
        InputError: no distances, distances that are not finite, or a quantile outside
            0..1.

    Example:
        >>> fresh = np.linspace(0.1, 0.3, 1000)
        >>> copied_share([0.0, 0.05, 0.2, 0.25], fresh)
        0.5
        >>> copied_share(fresh, fresh)
        0.01
    """
    for name, values in (
        ("distances", distances),
        ("fresh_distances", fresh_distances),
    ):
        shape = np.shape(values)
        if len(shape) != 1 or not shape[0]:
            raise InputError(f"{name} must be one per image, [N], got shape {shape}")
        if not np.isfinite(values).all():
            raise InputError(f"{name} must be finite; check the images for NaN")
    if not 0 <= quantile <= 1:
        raise InputError(f"quantile must lie in 0..1, got {quantile}")
    threshold = np.quantile(np.asarray(fresh_distances), quantile)
    return float(np.mean(np.asarray(distances) <= threshold))


def _flat(images: ArrayLike, name: str) -> np.ndarray:
    """Returns images as rows of bytes, [N, H W C]."""
    check_uint8(images)
    array = np.asarray(images)
    if array.ndim != 4 or not array.size:
        raise InputError(
            f"{name} must have shape [N, H, W, C] and not be empty, got {array.shape}"
        )
    return array.reshape(len(array), -1)


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
