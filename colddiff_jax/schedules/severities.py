"""Schedules of severity: sizes in pixels, deviations, or any other numbers."""

import numpy as np

from colddiff_jax.checks import MAX_SIDE, check_integer, check_num_steps


def constant(num_steps: int, *, value: float) -> np.ndarray:
    """Makes a constant schedule, s_i = value.

    Args:
        num_steps: T, the number of steps.
        value: the value at every step, in the unit of the scheduled quantity.

    Returns:
        float64 [T].

    Raises:
        ValueError: num_steps is not a positive integer.

    Example:
        >>> constant(3, value=7.0)
        array([7., 7., 7.])
    """
    return np.full(check_num_steps(num_steps), value, np.float64)


def linear(num_steps: int, *, start: float, increment: float) -> np.ndarray:
    """Makes a linear schedule, s_i = start + (i - 1) increment.

    Args:
        num_steps: T, the number of steps.
        start: the first value.
        increment: the difference between consecutive values.

    Returns:
        float64 [T].

    Raises:
        ValueError: num_steps is not a positive integer.

    Example:
        >>> linear(3, start=1.0, increment=0.5)
        array([1. , 1.5, 2. ])
    """
    return start + increment * np.arange(check_num_steps(num_steps), dtype=np.float64)


def exponential(num_steps: int, *, rate: float) -> np.ndarray:
    """Makes a schedule that grows exponentially from one, s_i = exp((i - 1) rate).

    Args:
        num_steps: T, the number of steps.
        rate: growth rate per step.

    Returns:
        float64 [T].

    Raises:
        ValueError: num_steps is not a positive integer.

    Example:
        >>> exponential(3, rate=0.01).round(3)
        array([1.  , 1.01, 1.02])
    """
    exponents = rate * np.arange(check_num_steps(num_steps), dtype=np.float64)
    with np.errstate(over="ignore"):  # Degradations raise for infinite values.
        return np.exp(exponents)


def geometric(num_steps: int, *, start: float, stop: float) -> np.ndarray:
    """Makes a geometric schedule, with a constant ratio between consecutive values.

        s_i = start (stop / start)^((i - 1) / (T - 1))

    Args:
        num_steps: T, the number of steps.
        start: the first value, positive.
        stop: the last value, positive.

    Returns:
        float64 [T].

    Raises:
        ValueError: num_steps is not a positive integer, or start or stop is not
            positive.

    Example:
        >>> geometric(3, start=0.5, stop=8.0)
        array([0.5, 2. , 8. ])

    Reference:
        Rissanen et al. (2022), arXiv:2206.13397: the blur of Inverse Heat Dissipation
        grows from 0.5 to 24 pixels on CIFAR-10, with T = 200.
    """
    if not (0 < start < np.inf and 0 < stop < np.inf):
        raise ValueError(
            f"start and stop must be positive and finite, got start={start}, "
            f"stop={stop}"
        )
    return np.geomspace(start, stop, check_num_steps(num_steps))


def power(num_steps: int, *, exponent: float) -> np.ndarray:
    """Makes a power of the fraction of the steps, s_i = (i / T)^exponent.

    Args:
        num_steps: T, the number of steps.
        exponent: any finite number: 1 for i / T, and -2 for the weights of the losses
            (`objective.weights`) that make a predicted image a predicted velocity.

    Returns:
        float64 [T]; the last value is 1.

    Raises:
        ValueError: num_steps is not a positive integer, or exponent is not finite.

    Example:
        >>> power(4, exponent=-2)
        array([16.        ,  4.        ,  1.77777778,  1.        ])
    """
    if not np.isfinite(exponent):
        raise ValueError(f"exponent must be finite, got {exponent}")
    with np.errstate(over="ignore"):  # Its users raise for infinite values.
        return (np.arange(1, check_num_steps(num_steps) + 1) / num_steps) ** exponent


def halving(image_size: int, *, num_steps: int) -> list[int]:
    """Makes sizes in pixels, each half of the previous one, s_i = image_size // 2^i.

    Args:
        image_size: side of the images in pixels.
        num_steps: T, the number of steps.

    Returns:
        T integers.

    Raises:
        ValueError: an argument is not a positive integer, or the images cannot be
            halved num_steps times.

    Example:
        >>> halving(32, num_steps=3)
        [16, 8, 4]

    Reference:
        `Incremental_factor_2` of `resolution-diffusion-pytorch` in the official code.
    """
    side = check_integer("image_size", image_size, cap=MAX_SIDE)
    sizes = [side // 2**i for i in range(1, check_num_steps(num_steps) + 1)]
    if sizes[-1] < 1:
        raise ValueError(
            f"images of side {side} can be halved at most {side.bit_length() - 1} "
            f"times, got num_steps={num_steps}"
        )
    return sizes
