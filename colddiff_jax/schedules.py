"""Schedules of severity: one value per step i = 1 ... T, as float64 arrays [T].

Schedules are plain NumPy arrays; any other sequence of numbers works as well. This
table lists the schedules of the paper and its code (standard deviations in pixels).

    blur, MNIST         constant(20, value=7.0)                 11 x 11, circular
    blur, CIFAR-10      linear(50, start=0.35, increment=0.01)  11 x 11, reflect
    blur, CelebA        exponential(200, rate=0.01)             15 x 15, reflect
    blur, generation    exponential(300, rate=0.01)             27 x 27, to_mean
    mask, MNIST, CIFAR  linear(50, start=1.1, increment=0.1)    random centre
    mask, CelebA        linear(100, start=0.2, increment=0.2)   middle
    mask, generation    linear(750, start=0.05, increment=0.05) fade_to_color, reverse
    pixelation          halving(32, num_steps=3)                CIFAR-10 and MNIST
    colour              linear_decay(20)
    animals and noise   cosine(200)

Reference:
    Bansal et al. (2022), arXiv:2208.09392, appendix, and the commands of the official
    code. Its routines count steps from 0: `Incremental` is linear(T, start=std,
    increment=std). Two routines that none of its programs can select are, with kernels
    of 2 int(2 std) + 3 taps,

        Linear_Accum_Std   np.sqrt(np.diff(np.linspace(0.01, 1, T) ** 2, prepend=0))
        Linear_Dec_Std     s / np.linalg.norm(s) for s = np.linspace(1, 0.01, T)
"""

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
