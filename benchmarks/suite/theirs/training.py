"""Training steps and the whole training loop in PyTorch."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.suite.theirs.loading import batches
from benchmarks.suite.theirs.networks import LAYOUTS

Degrade = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Step:
    """Loss, gradient and Adam of a network on one batch.

    Args:
        network: the network.
        x: images, float32 [B, H, W, C].
        t: steps, [B].
        layout: a key of `LAYOUTS`.
        bfloat16: whether to compute in bfloat16 where autocast does.
        compiled: whether to use `torch.compile`.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        x: npt.ArrayLike,
        t: npt.ArrayLike,
        layout: str,
        *,
        bfloat16: bool = False,
        compiled: bool = False,
    ):
        self._network = network.train().to(memory_format=LAYOUTS[layout])
        self._call = torch.compile(self._network) if compiled else self._network
        self._optimizer = torch.optim.Adam(network.parameters(), lr=2e-5)
        images = torch.tensor(np.asarray(x)).permute(0, 3, 1, 2)
        self._x = images.contiguous(memory_format=LAYOUTS[layout])
        self._t = torch.tensor(np.asarray(t))
        self._bfloat16 = bfloat16

    def __call__(self) -> None:
        self._optimizer.zero_grad()
        (self._restore() - self._x).abs().mean().backward()
        self._optimizer.step()

    @torch.no_grad()
    def forward(self) -> torch.Tensor:
        """Restores the batch, without dropout."""
        self._network.eval()
        x0_hat = self._restore()
        self._network.train()
        return x0_hat

    def _restore(self) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            return self._call(self._x, self._t)


class Loop:
    """Training with data, degradation, steps and the moving average of the weights.

    Args:
        network: the network.
        images: uint8 [N, H, W, C].
        degrade: D(x, t) with one t per image.
        num_steps: T.
        batch_size: B.
        layout: a key of `LAYOUTS`.
        whole: how images are loaded, as in `loading.batches`.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        images: np.ndarray,
        degrade: Degrade,
        num_steps: int,
        batch_size: int,
        layout: str,
        *,
        whole: bool,
    ):
        self._network = network.train().to(memory_format=LAYOUTS[layout])
        self._average = copy.deepcopy(self._network)
        self._optimizer = torch.optim.Adam(network.parameters(), lr=2e-5)
        self._batches = batches(images, batch_size, whole=whole)
        self._degrade, self._num_steps = degrade, num_steps
        self._layout = LAYOUTS[layout]

    def __call__(self, number: int) -> float:
        """Takes that many steps, and returns the last loss."""
        return [self._step() for _ in range(number)][-1].item()

    def _step(self) -> Any:
        (images,) = next(self._batches)
        x_0 = images.float() / 127.5 - 1
        t = torch.randint(1, self._num_steps + 1, (len(x_0),))
        x_t = self._degrade(x_0, t).contiguous(memory_format=self._layout)
        loss = (self._network(x_t, t) - x_0).abs().mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            weights = [*self._network.parameters()]
            torch._foreach_lerp_([*self._average.parameters()], weights, 0.001)
        return loss.detach()
