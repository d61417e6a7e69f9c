"""Algorithm 2 in PyTorch."""

from collections.abc import Callable

import torch

Degrade = Callable[[torch.Tensor, int], torch.Tensor]


@torch.no_grad()
def alg2(
    network: torch.nn.Module, degrade: Degrade, x: torch.Tensor, num_steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns x_0 and the first prediction; D(x0_hat, .) is computed anew each time."""
    direct = x
    for t in range(num_steps, 0, -1):
        x0_hat = network(x, torch.full((len(x),), t))
        if t == num_steps:
            direct = x0_hat
        x = x - degrade(x0_hat, t) + degrade(x0_hat, t - 1)
    return x, direct
