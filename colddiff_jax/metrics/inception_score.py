"""How clearly, and into how many classes, a network sorts a set of images."""

import itertools

import numpy as np
from numpy.typing import ArrayLike

from colddiff_jax.errors import InputError
from colddiff_jax.metrics.distances import check_rows


def inception_score(
    probabilities: ArrayLike, *, num_splits: int = 10
) -> tuple[float, float]:
    """Inception Score of a set of images, over equal parts of it.

        IS = exp( mean_n sum_k p_nk (log p_nk - log q_k) ),   q_k = mean_n p_nk

    Args:
        probabilities: of the classes of a network, [N, K], rows of sum 1.
        num_splits: how many consecutive parts are scored, each with its own q. Images
            that are sorted, by class for instance, must be shuffled first.

    Returns:
        Mean and standard deviation of the parts' scores, in 1..K.

    Raises:
        InputError: another shape, rows that are no probabilities, or fewer images than
            parts.

    Example:
        >>> inception_score(np.eye(10), num_splits=1)  # Sure, and every class once.
        (10.0, 0.0)

    Reference:
        Salimans et al. (2016), Improved techniques for training GANs, whose code takes
        the images in their order as well; torch-fidelity shuffles them first.
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
            "0) must not be negative and have the sum 1; apply a softmax to logits"
        )
    bounds = [i * len(p) // num_splits for i in range(num_splits + 1)]
    parts = (p[start:stop] for start, stop in itertools.pairwise(bounds))
    scores = [np.exp(_information(part)) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _information(p: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence of rows from their mean, with 0 log 0 = 0."""
    return (p * (_log(p) - _log(p.mean(axis=0)))).sum(axis=1).mean()


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(p, out=np.zeros_like(p), where=p > 0)
