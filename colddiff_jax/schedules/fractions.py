"""Schedules of fractions: of the image, of its variance, or of the examples."""

import numpy as np
from scipy import special

from colddiff_jax.checks import check_num_steps


def linear_decay(num_steps: int) -> np.ndarray:
    """Makes a fraction that decreases linearly to zero, s_i = 1 - i / T.

    Args:
        num_steps: T, the number of steps.

    Returns:
        float64 [T], in [0, 1).

    Raises:
        ValueError: num_steps is not a positive integer.

    Example:
        >>> linear_decay(4)
        array([0.75, 0.5 , 0.25, 0.  ])

    Reference:
        `Linear` of `decolor-diffusion` in the official code.
    """
    return 1.0 - np.arange(1, check_num_steps(num_steps) + 1) / num_steps


def exponential_decay(
    num_steps: int, *, factor: float, to_zero: bool = False
) -> np.ndarray:
    """Makes a fraction that decreases by a constant factor per step, s_i = factor^i.

    Args:
        num_steps: T, the number of steps.
        factor: the ratio of consecutive values, in [0, 1].
        to_zero: set the last value to 0.

    Returns:
        float64 [T], in [0, 1].

    Raises:
        ValueError: num_steps is not a positive integer, or factor lies outside [0, 1].

    Example:
        >>> exponential_decay(3, factor=0.5)
        array([0.5  , 0.25 , 0.125])

    Reference:
        `Constant` of `decolor-diffusion` in the official code, with
        `decolor_total_remove` as `to_zero`.
    """
    if not 0 <= factor <= 1:
        raise ValueError(f"factor must lie in [0, 1], got {factor}")
    fractions = factor ** np.arange(1, check_num_steps(num_steps) + 1, dtype=np.float64)
    if to_zero:
        fractions[-1] = 0.0
    return fractions


def cosine(num_steps: int, *, offset: float = 0.008) -> np.ndarray:
    """Makes the cosine schedule of diffusion models, alphas_cumprod.

        s_i = prod_{j <= i} (1 - beta_j),  beta_j = min(1 - f(j) / f(j - 1), 0.999)
        f(j) = cos^2(((j / T) + offset) / (1 + offset) pi / 2)

    All values but the last equal f(i) / f(0). Since f(T) = 0, the last beta is clipped
    and the last value is a thousandth of the one before.

    Args:
        num_steps: T, the number of steps.
        offset: non-negative; keeps the first steps from being too small.

    Returns:
        float64 [T], in (0, 1): the image's fraction of the variance.

    Raises:
        ValueError: num_steps is not a positive integer, or offset is negative.

    Example:
        >>> f"{cosine(200)[-1]:.2e}"
        '6.07e-08'

    Reference:
        Nichol and Dhariwal (2021), arXiv:2102.09672, section 3.2; the official code of
        Cold Diffusion uses it, in float32, for animorphosis and for Gaussian noise.
    """
    if not 0 <= offset < np.inf:
        raise ValueError(f"offset must be finite and non-negative, got {offset}")
    steps = np.arange(check_num_steps(num_steps) + 1) / num_steps
    f = np.cos((steps + offset) / (1 + offset) * np.pi / 2) ** 2
    return np.cumprod(1 - np.clip(1 - f[1:] / f[:-1], 0, 0.999))


def linear_betas(
    num_steps: int, *, start: float = 1e-4, stop: float = 0.02
) -> np.ndarray:
    """Makes the linear schedule of diffusion models, alphas_cumprod.

        s_i = prod_{j <= i} (1 - beta_j)
        beta_j = start + (stop - start) (j - 1) / (T - 1)

    Args:
        num_steps: T, the number of steps, 1000 with these defaults.
        start: the first beta, in (0, 1).
        stop: the last beta, likewise.

    Returns:
        float64 [T], in (0, 1): the image's fraction of the variance.

    Raises:
        ValueError: num_steps is not a positive integer, or a beta outside (0, 1).

    Example:
        >>> f"{linear_betas(1000)[-1]:.2e}"
        '4.04e-05'

    Reference:
        Ho et al. (2020), arXiv:2006.11239, section 4.
    """
    if not (0 < start < 1 and 0 < stop < 1):
        raise ValueError(
            f"start and stop must lie in (0, 1), got start={start}, stop={stop}"
        )
    return np.cumprod(1 - np.linspace(start, stop, check_num_steps(num_steps)))


def logit_normal(num_steps: int, *, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """Makes the probabilities of steps whose logit is normal, for training.

        s_i = P((i - 1) / T < u <= i / T),   log(u / (1 - u)) ~ N(mean, std^2)

    Steps in the middle are the most likely ones; a positive mean favours those with
    more noise.

    Args:
        num_steps: T, the number of steps.
        mean: the mean of the logit.
        std: its standard deviation, positive.

    Returns:
        float64 [T], of sum 1, for `objective.frequencies`.

    Raises:
        ValueError: num_steps is not a positive integer, mean is not finite, or std is
            not positive.

    Example:
        >>> logit_normal(4).round(3)
        array([0.136, 0.364, 0.364, 0.136])

    Reference:
        Esser et al. (2024), arXiv:2403.03206, equation 19, where u is continuous.
    """
    if not (np.isfinite(mean) and 0 < std < np.inf):
        raise ValueError(
            f"mean must be finite and std positive, got mean={mean}, std={std}"
        )
    edges = np.arange(check_num_steps(num_steps) + 1) / num_steps
    return np.diff(special.ndtr((special.logit(edges) - mean) / std))
