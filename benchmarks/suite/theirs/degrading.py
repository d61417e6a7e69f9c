"""Degradations by single steps, as in the official code, and by tables in PyTorch."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F

Step = Callable[[torch.Tensor], torch.Tensor]


def blurs(kernels: np.ndarray, channels: int, padding: str) -> list[Step]:
    """Returns one grouped convolution per kernel of [T, K, K]."""

    def step(kernel: np.ndarray) -> Step:
        margin = 4 * [len(kernel) // 2]
        weight = torch.tensor(kernel, dtype=torch.float32).repeat(channels, 1, 1, 1)
        return lambda x: F.conv2d(
            F.pad(x, margin, mode=padding), weight, groups=channels
        )

    return [step(kernel) for kernel in kernels]


def masks(factors: np.ndarray) -> list[Step]:
    """Returns one product per mask of [T, H, W], or per factor of [T, 1, 1]."""
    return [lambda x, f=f: x * f for f in torch.tensor(factors, dtype=torch.float32)]


def resizings(sides: Sequence[int]) -> list[Step]:
    """Returns one bicubic shrinking and nearest-neighbour enlarging per side."""

    def step(side: int) -> Step:
        def resize(x: torch.Tensor) -> torch.Tensor:
            small = F.interpolate(x, side, mode="bicubic", antialias=False)
            return F.interpolate(small, x.shape[-1], mode="nearest-exact")

        return resize

    return [step(side) for side in sides]


def desaturations(factors: np.ndarray, channels: int) -> list[Step]:
    """Returns one 1 x 1 convolution towards the mean of the channels per factor."""

    def step(factor: float) -> Step:
        mixing = factor * torch.eye(channels) + (1 - factor) / channels
        return lambda x: F.conv2d(x, mixing[:, :, None, None].float())

    return [step(float(factor)) for factor in factors]


@torch.no_grad()
def at_random_steps(
    steps: Sequence[Step], x: torch.Tensor, t: torch.Tensor
) -> torch.Tensor:
    """Returns x_t per example: the steps up to the largest t, all kept, one chosen."""
    levels = []
    for step in steps[: int(t.max())]:
        x = step(x)
        levels.append(x)
    return torch.stack(levels)[t - 1, torch.arange(len(x))]


@torch.no_grad()
def up_to(steps: Sequence[Step], x: torch.Tensor, t: int) -> torch.Tensor:
    """Returns D(x, t) by t single steps."""
    for step in steps[:t]:
        x = step(x)
    return x


class Products:
    """Our closed form of blurs and resizings, A_t x A_t^T, in PyTorch.

    Args:
        operators: [T, S, S], for both axes.
    """

    def __init__(self, operators: np.ndarray):
        identity = np.eye(operators.shape[-1])[None]
        self._table = torch.tensor(np.concatenate([identity, operators])).float()

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, t: torch.Tensor | int) -> torch.Tensor:
        operator = self._table[t]
        if operator.ndim == 3:
            operator = operator[:, None]
        return operator @ x @ operator.transpose(-1, -2)


class Factors:
    """Our closed form of masks, M_t x, in PyTorch; masks [T, H, W] or [T, 1, 1]."""

    def __init__(self, cumulative: np.ndarray):
        self._table = torch.tensor(cumulative).float()[:, None]

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self._table[t - 1] * x


class TowardsMean:
    """Our closed form of desaturation, r_t x + (1 - r_t) mean, in PyTorch."""

    def __init__(self, kept: np.ndarray):
        self._kept = torch.tensor(kept).float()[:, None, None, None]

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.lerp(x.mean(1, keepdim=True), x, self._kept[t - 1])
