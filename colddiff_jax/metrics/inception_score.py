"""Inception Score: how confidently, and into how many classes, images fall."""

import itertools

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.checks import InputError
from colddiff_jax.metrics.distances import check_rows


def inception_score(
    probabilities: ArrayLike, *, num_splits: int = 10
) -> tuple[float, float]:
    """Computes the Inception Score of a set of images, over equal parts of the set.

        IS = exp( mean_n sum_k p_nk (log p_nk - log q_k) ),   q_k = mean_n p_nk

    Args:
        probabilities: class probabilities from a network, [N, K]; each row sums to 1.
        num_splits: number of consecutive parts, each scored with its own q. Shuffle the
            images first if they are sorted, by class for instance.

    Returns:
        Mean and standard deviation of the parts' scores, each score in 1..K.

    Raises:
        InputError: a wrong shape, rows that are not probabilities, or fewer images than
            parts.

    Example:
        >>> mean, std = inception_score(np.eye(10), num_splits=1)
        >>> round(mean, 6)   # certain, and each class once
        10.0

    Reference:
        Salimans et al. (2016), Improved techniques for training GANs, whose code also
        splits the images in their given order; torch-fidelity shuffles them first.
    """
    p = check_rows(probabilities, "probabilities")
    if not 1 <= num_splits <= len(p):
        raise InputError(
            f"num_splits must lie in 1..{len(p)}, the number of images, got "
            f"{num_splits}"
        )
    is_distribution = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) < 1e-3)
    if not is_distribution.all():
        raise InputError(
            f"probabilities of image {int(np.argmin(is_distribution))} (counted from "
            "0) must be non-negative and sum to 1; apply a softmax to logits"
        )
    bounds = [i * len(p) // num_splits for i in range(num_splits + 1)]
    parts = (p[start:stop] for start, stop in itertools.pairwise(bounds))
    scores = [np.exp(_information(part)) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _information(p: np.ndarray) -> float:
    """Returns the mean KL divergence of the rows from their mean, with 0 log 0 = 0."""
    return (p * (_log(p) - _log(p.mean(axis=0)))).sum(axis=1).mean()


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(p, out=np.zeros_like(p), where=p > 0)
