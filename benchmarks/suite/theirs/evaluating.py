"""The official evaluation in PyTorch: both restorations and their scores."""

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.suite.theirs.sampling import Degrade, alg2

_SIDE, _STD = 11, 1.5  # Of the window of the SSIM.


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Returns the SSIM of each pair of images in [0, 1], as pytorch-msssim does."""
    offsets = torch.arange(_SIDE) - _SIDE // 2
    taps = torch.exp(-(offsets**2) / (2 * _STD**2))
    taps = taps / taps.sum()
    channels = x.shape[1]
    row = taps.repeat(channels, 1, 1, 1)

    def mean(z: torch.Tensor) -> torch.Tensor:
        z = F.conv2d(z, row.transpose(2, 3), groups=channels)
        return F.conv2d(z, row, groups=channels)

    x_mean, y_mean = mean(x), mean(y)
    x_var, y_var = mean(x * x) - x_mean**2, mean(y * y) - y_mean**2
    covariance = mean(x * y) - x_mean * y_mean
    similar = (2 * covariance + 0.03**2) / (x_var + y_var + 0.03**2)
    luminance = (2 * x_mean * y_mean + 0.01**2) / (x_mean**2 + y_mean**2 + 0.01**2)
    return (luminance * similar).mean(dim=(1, 2, 3))


@torch.no_grad()
def scores(
    network: torch.nn.Module, degrade: Degrade, images: np.ndarray, num_steps: int
) -> dict[str, np.ndarray]:
    """Returns "METRIC/SET" per image, for uint8 images [B, H, W, C]."""
    x_0 = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    x_T = degrade(x_0, num_steps)
    restored, direct = alg2(network, degrade, x_T, num_steps)
    found = {}
    for name, x in (("degraded", x_T), ("direct", direct), ("alg2", restored)):
        x = ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1  # As in a file.
        found[f"mse/{name}"] = ((x - x_0) / 2).square().mean(dim=(1, 2, 3)).numpy()
        found[f"ssim/{name}"] = ssim((x + 1) / 2, (x_0 + 1) / 2).numpy()
    return found
