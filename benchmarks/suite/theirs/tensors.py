"""Images and steps as tensors."""

import numpy as np
import numpy.typing as npt
import torch


def to_tensor(x: npt.ArrayLike) -> torch.Tensor:
    """Returns images [B, H, W, C] as [B, C, H, W]."""
    return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2).copy())


def to_images(x: torch.Tensor) -> np.ndarray:
    """Returns images [B, C, H, W] as [B, H, W, C]."""
    return x.detach().numpy().transpose(0, 2, 3, 1)


def to_steps(t: npt.ArrayLike) -> torch.Tensor:
    """Returns steps [B] as indices."""
    return torch.tensor(np.asarray(t)).long()
