"""Schedules of severity: one value per step i = 1 ... T, as float64 arrays [T].

They are plain NumPy arrays; any other sequence of numbers serves as well. The table
lists those of the paper and its code (standard deviations in pixels).

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
    increment=std). Of two routines that none of its programs can choose,
    `Linear_Accum_Std` is np.sqrt(np.diff(np.linspace(0.01, 1, T) ** 2, prepend=0)).
"""

import numpy as np


def constant(num_steps: int, *, value: float) -> np.ndarray:
    """The same value at every step, s_i = value."""
    return np.full(check_num_steps(num_steps), value, np.float64)


def linear(num_steps: int, *, start: float, increment: float) -> np.ndarray:
    """Growth by a constant increment, s_i = start + (i - 1) increment."""
    return start + increment * np.arange(check_num_steps(num_steps), dtype=np.float64)


def exponential(num_steps: int, *, rate: float) -> np.ndarray:
    """Exponential growth from one, s_i = exp((i - 1) rate)."""
    return np.exp(rate * np.arange(check_num_steps(num_steps), dtype=np.float64))


def geometric(num_steps: int, *, start: float, stop: float) -> np.ndarray:
    """Constant ratios from start to stop, s_i = start (stop / start)^((i-1) / (T-1)).

    The blur of Inverse Heat Dissipation: start=0.5, stop=24 for CIFAR-10 with T = 200.
    """
    if not (start > 0 and stop > 0):
        raise ValueError(
            f"start and stop must be positive, got start={start}, stop={stop}"
        )
    return np.geomspace(start, stop, check_num_steps(num_steps))


def linear_decay(num_steps: int) -> np.ndarray:
    """A share that shrinks evenly to nothing, s_i = 1 - i / T.

    The official `Linear` decolorization.
    """
    return 1.0 - np.arange(1, check_num_steps(num_steps) + 1) / num_steps


def exponential_decay(
    num_steps: int, *, factor: float, to_zero: bool = False
) -> np.ndarray:
    """A share that shrinks by a factor a step, s_i = factor^i.

    The official `Constant` decolorization and fading; `to_zero` makes the last value 0,
    as its `decolor_total_remove` does.
    """
    shares = factor ** np.arange(1, check_num_steps(num_steps) + 1, dtype=np.float64)
    if to_zero:
        shares[-1] = 0.0
    return shares


def halving(image_size: int, *, num_steps: int) -> list[int]:
    """Sides in pixels, each half of the one before, s_i = image_size // 2^i.

    The official `Incremental_factor_2` pixelation.
    """
    sizes = [image_size // 2**i for i in range(1, check_num_steps(num_steps) + 1)]
    if sizes[-1] < 1:
        raise ValueError(
            f"images of side {image_size} can be halved {image_size.bit_length() - 1} "
            f"times, got num_steps={num_steps}"
        )
    return sizes


def cosine(num_steps: int, *, offset: float = 0.008) -> np.ndarray:
    """The cosine schedule of diffusion models, the share of the image's variance left.

        s_i = prod_{j <= i} (1 - beta_j),  beta_j = min(1 - f(j) / f(j - 1), 0.999)
        f(j) = cos^2(((j / T) + offset) / (1 + offset) pi / 2)

    All but the last are f(i) / f(0); there f(T) = 0, and the clipped beta leaves a
    thousandth of the value before.

    Reference:
        Nichol and Dhariwal (2021), arXiv:2102.09672, section 3.2; the official code of
        Cold Diffusion uses it for animorphosis and for noise, in float32.
    """
    steps = np.arange(check_num_steps(num_steps) + 1) / num_steps
    f = np.cos((steps + offset) / (1 + offset) * np.pi / 2) ** 2
    return np.cumprod(1 - np.clip(1 - f[1:] / f[:-1], 0, 0.999))


def check_num_steps(num_steps: int) -> int:
    """Returns num_steps if it is a positive integer, else raises a ValueError."""
    if not isinstance(num_steps, int) or num_steps < 1:
        raise ValueError(f"num_steps must be a positive integer, got {num_steps!r}")
    return num_steps
