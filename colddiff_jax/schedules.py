"""Schedules of severity: one value per step i = 1 ... T, as float64 arrays [T].

They are plain NumPy arrays; any other sequence of numbers serves as well. The table
lists those of the paper (standard deviations in pixels).

    blur, MNIST       constant(20, value=7.0)               11 x 11, circular
    blur, CIFAR-10    linear(50, start=0.35, increment=0.01)  11 x 11, reflect
    blur, CelebA      exponential(200, rate=0.01)           15 x 15, reflect
    mask, MNIST and CIFAR-10  linear(50, start=1.1, increment=0.1), random centre
    mask, CelebA      linear(100, start=0.2, increment=0.2), middle

Reference:
    Bansal et al. (2022), arXiv:2208.09392, appendix, and the commands of the official
    code. Its routines count steps from 0: `Incremental` is linear(T, start=std,
    increment=std).
"""

import numpy as np


def constant(num_steps: int, *, value: float) -> np.ndarray:
    """The same value at every step, s_i = value."""
    return np.full(_check_num_steps(num_steps), value, np.float64)


def linear(num_steps: int, *, start: float, increment: float) -> np.ndarray:
    """Growth by a constant increment, s_i = start + (i - 1) increment."""
    return start + increment * np.arange(_check_num_steps(num_steps), dtype=np.float64)


def exponential(num_steps: int, *, rate: float) -> np.ndarray:
    """Exponential growth from one, s_i = exp((i - 1) rate)."""
    return np.exp(rate * np.arange(_check_num_steps(num_steps), dtype=np.float64))


def _check_num_steps(num_steps: int) -> int:
    if not isinstance(num_steps, int) or num_steps < 1:
        raise ValueError(f"num_steps must be a positive integer, got {num_steps!r}")
    return num_steps
