"""Distances between two sets of images, measured on their features."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set of features.

    Attributes:
        count: number of images, N, at least 2.
        mean: float64 [F].
        covariance: float64 [F, F], unbiased: divided by N - 1.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


class MomentsAccumulator:
    """Moments of features that arrive in batches, none of which is kept.

    The moments of a batch are merged with those of all before it:

        d = m_b - m,   m <- m + d n_b / (n + n_b)
        S <- S + S_b + d d^T n n_b / (n + n_b),   C = S / (N - 1)

    with n, m and S the number, mean and scatter so far. Nothing large is subtracted
    from something large, so that batches of any size give the same to rounding.

    Example:
        >>> accumulator = MomentsAccumulator()
        >>> for x in batches:
        ...     accumulator.add(net(x).pooled)
        >>> moments = accumulator.finish()

    Reference:
        Chan et al. (1979), Updating formulae and a pairwise algorithm for computing
        sample variances.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))

    def add(self, features: ArrayLike) -> None:
        """Takes one more batch.

        Args:
            features: [N, F], of any float type; N may be 0 and vary, F must not.

        Raises:
            InputError: another shape, or features that are not finite.
        """
        x = check_rows(features, "features", first=self._count)
        if not self._count:
            self._mean = np.zeros(x.shape[1])
            self._scatter = np.zeros((x.shape[1], x.shape[1]))
        if x.shape[1] != len(self._mean):
            raise InputError(
                f"features must have {len(self._mean)} columns as in the first batch, "
                f"got {x.shape[1]}; one network at a time"
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
        """The moments of everything added.

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
    """Frechet distance of two Gaussians with these moments.

        d^2 = |m_x - m_y|^2 + tr C_x + tr C_y - 2 tr (C_x C_y)^(1/2)

    On the features of the Inception network that the literature uses this is FID.
    Fewer images give a larger distance: compare only figures of as many.

    Args:
        x: moments of one set.
        y: moments of the other. Either may have fewer images than features.

    Returns:
        d^2, at least 0; 0 for equal moments, to rounding.

    Raises:
        InputError: features of different lengths.

    Example:
        >>> frechet_distance(moments, moments) < 1e-9
        True

    Reference:
        Heusel et al. (2017), GANs trained by a two time-scale update rule. The trace of
        the root is not taken from the complex root of the product C_x C_y, which is
        inaccurate where it is singular, but is the sum of the singular values of A^T B
        with C_x = A A^T and C_y = B B^T.
    """
    if x.mean.shape != y.mean.shape:
        raise InputError(
            f"the features of both sets must be of the same length, got {len(x.mean)} "
            f"and {len(y.mean)}; take both from one network"
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
    """Kernel distance of two sets of features, over random subsets.

        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j)
                - 2 mean_{i, j} k(x_i, y_j),   k(a, b) = (a . b / F + 1)^3

    On Inception features this is KID. Unlike the Frechet distance its mean does not
    depend on the number of images.

    Args:
        x: features of one set, [N, F].
        y: features of the other, [M, F].
        seed: of the subsets, drawn without replacement.
        num_subsets: how many pairs of subsets are compared.
        subset_size: images in each; at most min(N, M) are taken.

    Returns:
        Mean and standard deviation (over subsets) of MMD^2. It is unbiased, so that
        equal distributions may have a mean just below 0. The standard deviation is of
        use only if subsets are much smaller than the sets; it is 0 if they are the
        sets.

    Raises:
        InputError: other shapes, features that are not finite, fewer than two images
            in a set or a subset, or no subset.

    Example:
        >>> mean, std = kernel_distance(x, y)

    Reference:
        Binkowski et al. (2018), Demystifying MMD GANs; torch-fidelity, which refuses
        sets smaller than a subset and draws other subsets.
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
        num_subsets = 1  # All would be the same.
    generator = np.random.default_rng(seed)
    distances = []
    for _ in range(num_subsets):
        x_subset = x[generator.choice(len(x), size, replace=False)]
        y_subset = y[generator.choice(len(y), size, replace=False)]
        distances.append(_squared_discrepancy(x_subset, y_subset))
    return float(np.mean(distances)), float(np.std(distances))


def check_rows(values: ArrayLike, name: str, *, first: int = 0) -> np.ndarray:
    """Returns values as float64 [N, F], or says which image is not finite.

    Args:
        values: one row per image.
        name: of the values, for the message.
        first: the number of the first image.
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
            "not finite; look for NaN in the images and in the weights that made them"
        )
    return rows


def check_same_length(x: np.ndarray, x_name: str, y: np.ndarray, y_name: str) -> None:
    """Raises InputError if two sets have features of different lengths."""
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"{x_name} and {y_name} must have features of the same length, got "
            f"{x.shape[1]} and {y.shape[1]}; take both from one network"
        )


def _root(covariance: np.ndarray) -> np.ndarray:
    """A [F, rank] with covariance = A A^T."""
    values, vectors = np.linalg.eigh(covariance)
    # What is smaller is rounding, whose root would not be small.
    least = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    kept = values > least
    return vectors[:, kept] * np.sqrt(values[kept])


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate of MMD^2."""
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
