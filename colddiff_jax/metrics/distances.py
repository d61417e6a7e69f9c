"""Distances between two sets of images, computed on their features."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.checks import InputError
from colddiff_jax.reprs import short_repr


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set of features.

    Attributes:
        count: number of images, N, at least 2.
        mean: float64 [F].
        covariance: float64 [F, F], unbiased: divided by N - 1.

    Example:
        >>> Moments(count=100, mean=np.zeros(2), covariance=np.eye(2)).mean.shape
        (2,)
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)


class MomentsAccumulator:
    """Computes the moments of features batch by batch, without storing the batches.

    The moments of each batch, m_b and S_b, are merged into the running ones:

        d = m_b - m,   m <- m + d n_b / (n + n_b)
        S <- S + S_b + d d^T n n_b / (n + n_b),   C = S / (N - 1)

    with n, m and S the count, mean and scatter matrix so far. No large numbers are
    subtracted from each other, so the result is the same for any batch size, up to
    rounding.

    Example:
        >>> accumulator = MomentsAccumulator()
        >>> for features in np.random.default_rng(0).normal(size=(3, 10, 4)):
        ...     accumulator.add(features)
        >>> accumulator.finish().count
        30

    Reference:
        Chan et al. (1979), Updating formulae and a pairwise algorithm for computing
        sample variances.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))

    def add(self, features: ArrayLike) -> None:
        """Adds a batch.

        Args:
            features: [N, F], any float dtype; N may vary and be 0, F is fixed.

        Raises:
            InputError: a wrong shape, or features that are not finite.
        """
        x = check_rows(features, "features", first=self._count)
        if not self._count:
            self._mean = np.zeros(x.shape[1])
            self._scatter = np.zeros((x.shape[1], x.shape[1]))
        if x.shape[1] != len(self._mean):
            raise InputError(
                f"features must have {len(self._mean)} columns as in the first batch, "
                f"got {x.shape[1]}; add features of one network only"
            )
        if not len(x):
            return
        total = self._count + len(x)
        mean = x.mean(axis=0)
        centred = x - mean
        shift = mean - self._mean
        self._scatter += centred.T @ centred
        self._scatter += np.outer(shift, shift * (self._count * len(x) / total))
        self._mean += shift * (len(x) / total)
        self._count = total

    def finish(self) -> Moments:
        """Returns the moments of all batches added so far.

        Raises:
            InputError: fewer than two images were added.
        """
        if self._count < 2:
            raise InputError(
                f"a covariance needs at least 2 images, got {self._count}; add more"
            )
        covariance = self._scatter / (self._count - 1)
        return Moments(self._count, self._mean.copy(), covariance)


def frechet_distance(x: Moments, y: Moments) -> float:
    """Computes the Frechet distance between two Gaussians with the given moments.

        d^2 = |m_x - m_y|^2 + tr C_x + tr C_y - 2 tr (C_x C_y)^(1/2)

    On the features of the literature's Inception network this is FID. The distance
    grows as the number of images falls: compare only values for the same number of
    images.

    Args:
        x: moments of one set.
        y: moments of the other set. Both sets may have fewer images than features.

    Returns:
        d^2, at least 0; 0 up to rounding for equal moments.

    Raises:
        TypeError: features or images instead of their moments.
        InputError: features of different lengths.

    Example:
        >>> x = Moments(count=100, mean=np.zeros(2), covariance=np.eye(2))
        >>> y = Moments(count=100, mean=np.ones(2), covariance=np.eye(2))
        >>> round(frechet_distance(x, y), 6)
        2.0

    Reference:
        Heusel et al. (2017), GANs trained by a two time-scale update rule. The matrix
        square root of C_x C_y is inaccurate where the product is singular, so its trace
        is computed as the sum of the singular values of A^T B, with C_x = A A^T and
        C_y = B B^T.
    """
    for value in (x, y):
        if not isinstance(value, Moments):
            raise TypeError(
                f"a Frechet distance needs Moments, got {type(value).__name__}; "
                "compute them from features with MomentsAccumulator"
            )
    if x.mean.shape != y.mean.shape:
        raise InputError(
            f"the features of both sets must have the same length, got {len(x.mean)} "
            f"and {len(y.mean)}; compute both with the same network"
        )
    product = _root(x.covariance).T @ _root(y.covariance)
    overlap = np.linalg.svd(product, compute_uv=False).sum()
    difference = x.mean - y.mean
    traces = np.trace(x.covariance) + np.trace(y.covariance)
    return max(float(difference @ difference + traces - 2 * overlap), 0.0)


def kernel_distance(
    x: ArrayLike,
    y: ArrayLike,
    *,
    seed: int = 0,
    num_subsets: int = 100,
    subset_size: int = 1000,
) -> tuple[float, float]:
    """Computes the kernel distance between two sets of features, on random subsets.

        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j)
                - 2 mean_{i, j} k(x_i, y_j),   k(a, b) = (a . b / F + 1)^3

    On Inception features this is KID. Unlike the Frechet distance, its expectation does
    not depend on the number of images.

    Args:
        x: features of one set, [N, F].
        y: features of the other set, [M, F].
        seed: seed for drawing the subsets, without replacement.
        num_subsets: number of pairs of subsets.
        subset_size: images per subset, reduced to min(N, M) if larger.

    Returns:
        Mean and standard deviation of MMD^2 over the subsets. The estimate is unbiased,
        so the mean may be slightly negative for equal distributions. The standard
        deviation is meaningful only if the subsets are much smaller than the sets; it
        is 0 if they are the whole sets.

    Raises:
        InputError: wrong shapes, features that are not finite, fewer than two images in
            a set or a subset, or no subsets.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 200, 8))
        >>> mean, std = kernel_distance(x, y, subset_size=50)

    Reference:
        Binkowski et al. (2018), Demystifying MMD GANs; torch-fidelity, which rejects
        sets smaller than a subset and draws different subsets.
    """
    x, y = check_rows(x, "x"), check_rows(y, "y")
    check_same_length(x, "x", y, "y")
    if num_subsets < 1:
        raise InputError(f"num_subsets must be at least 1, got {num_subsets}")
    size = min(subset_size, len(x), len(y))
    if size < 2:
        raise InputError(
            "a kernel distance needs subsets of at least 2 images, got "
            f"subset_size = {subset_size} of {len(x)} and {len(y)} images"
        )
    if size == len(x) == len(y):
        num_subsets = 1  # All would be equal.
    generator = np.random.default_rng(seed)
    distances = []
    for _ in range(num_subsets):
        x_subset = x[generator.choice(len(x), size, replace=False)]
        y_subset = y[generator.choice(len(y), size, replace=False)]
        distances.append(_squared_discrepancy(x_subset, y_subset))
    return float(np.mean(distances)), float(np.std(distances))


def check_rows(values: ArrayLike, name: str, *, first: int = 0) -> np.ndarray:
    """Returns values as float64 [N, F] if they have that shape and are finite.

    Args:
        values: one row per image.
        name: name of the values in error messages.
        first: index of the first row's image in error messages.

    Raises:
        InputError: a wrong shape, or values that are not finite.
    """
    rows = np.asarray(values, np.float64)
    if rows.ndim != 2 or not rows.shape[1]:
        raise InputError(
            f"{name} must have shape [N, F], one row per image, got {rows.shape}"
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{name} of image {first + int(np.argmin(finite))} (counted from 0) are "
            "not finite; check the images and the network's weights for NaN"
        )
    return rows


def check_same_length(x: np.ndarray, x_name: str, y: np.ndarray, y_name: str) -> None:
    """Raises InputError if two sets have features of different lengths."""
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"{x_name} and {y_name} must have features of the same length, got "
            f"{x.shape[1]} and {y.shape[1]}; compute both with the same network"
        )


def _root(covariance: np.ndarray) -> np.ndarray:
    """Returns A [F, rank] with covariance = A A^T."""
    values, vectors = np.linalg.eigh(covariance)
    # Smaller eigenvalues are rounding errors, whose square roots would not be small.
    threshold = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    kept = values > threshold
    return vectors[:, kept] * np.sqrt(values[kept])


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the unbiased estimate of MMD^2."""
    within_x, within_y = _kernel(x, x), _kernel(y, y)
    np.fill_diagonal(within_x, 0)
    np.fill_diagonal(within_y, 0)
    return (
        within_x.sum() / (len(x) * (len(x) - 1))
        + within_y.sum() / (len(y) * (len(y) - 1))
        - 2 * _kernel(x, y).mean()
    )


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base  # Many times faster than base**3.
