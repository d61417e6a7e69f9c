"""Schedules: one value per step i = 1 ... T, as float64 arrays [T].

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

Those of other papers are in `docs/family.md`.

Reference:
    Bansal et al. (2022), arXiv:2208.09392, appendix, and the commands of the official
    code. Its routines count steps from 0: `Incremental` is linear(T, start=std,
    increment=std). Two routines that none of its programs can select are, with kernels
    of 2 int(2 std) + 3 taps,

        Linear_Accum_Std   np.sqrt(np.diff(np.linspace(0.01, 1, T) ** 2, prepend=0))
        Linear_Dec_Std     s / np.linalg.norm(s) for s = np.linspace(1, 0.01, T)
"""

from colddiff_jax.schedules.fractions import (
    cosine,
    exponential_decay,
    linear_betas,
    linear_decay,
    logit_normal,
)
from colddiff_jax.schedules.severities import (
    constant,
    exponential,
    geometric,
    halving,
    linear,
    power,
)

__all__ = [
    "constant",
    "cosine",
    "exponential",
    "exponential_decay",
    "geometric",
    "halving",
    "linear",
    "linear_betas",
    "linear_decay",
    "logit_normal",
    "power",
]
