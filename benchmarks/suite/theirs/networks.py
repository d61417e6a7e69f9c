"""The small network in PyTorch, with the weights of ours, and the published ones."""

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import torch_networks
from benchmarks.torch_networks import ConvNeXtUNet, UNet
from colddiff_jax.models.preconditioning import Scales

PUBLISHED = {"ConvNeXtUNet": ConvNeXtUNet, "UNet": UNet}
LAYOUTS = {
    "contiguous": torch.contiguous_format,
    "channels-last": torch.channels_last,
}


class SmallUNet(nn.Module):
    """The U-Net of a configuration without attention and dropout: patches are folded.

    Args:
        fields: the section `model`.
        channels: of the images.
        scales: of a preconditioned network.
        params: the weights of our network, or None for random ones.
    """

    def __init__(self, fields: Any, channels: int, scales: Scales, params: Any = None):
        super().__init__()
        self._patch = fields["patch_size"]
        self.network = torch_networks.UNet(
            channels * self._patch**2,
            base=fields["base_channels"],
            multipliers=tuple(fields["channel_multipliers"]),
            num_blocks=fields["num_blocks"],
            attention=0,
        )
        for module in self.network.modules():
            if isinstance(module, nn.GroupNorm):
                module.num_groups = fields["num_groups"]
            if isinstance(module, nn.Dropout):
                module.p = fields["dropout"]
        self.register_buffer("scales", torch.tensor(scales).float())
        if params is not None:
            copy_weights(self.network, params["network"])

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        scales = self.scales[:, t.long() - 1]
        scale, skip, output = scales[:, :, None, None, None]
        mean = x.mean(dim=(2, 3), keepdim=True)
        h = self.fold((x - mean) / scale + mean)
        return skip * x + output * self.unfold(self.network(h, t))

    def fold(self, x: torch.Tensor) -> torch.Tensor:
        """Folds patches into channels, in the order of ours."""
        batch, channels, height, width = x.shape
        p = self._patch
        x = x.reshape(batch, channels, height // p, p, width // p, p)
        return x.permute(0, 3, 5, 1, 2, 4).reshape(
            batch, p * p * channels, height // p, width // p
        )

    def unfold(self, h: torch.Tensor) -> torch.Tensor:
        """Inverts `fold`."""
        batch, channels, height, width = h.shape
        p = self._patch
        h = h.reshape(batch, p, p, channels // p**2, height, width)
        return h.permute(0, 3, 4, 1, 5, 2).reshape(
            batch, channels // p**2, height * p, width * p
        )


@torch.no_grad()
def copy_weights(network: nn.Module, params: Any) -> None:
    """Copies the weights of our U-Net; the layers of both are sorted alike."""
    kinds = (nn.Linear, nn.Conv2d, nn.GroupNorm)
    modules = [m for m in network.modules() if isinstance(m, kinds)]
    for module, layer in zip(modules, _layers(params), strict=True):
        weight = np.asarray(layer.get("kernel", layer.get("scale")))
        if weight.ndim > 1:  # [..., inputs, outputs] to [outputs, inputs, ...]
            weight = np.moveaxis(weight, (-1, -2), (0, 1))
        module.weight.copy_(torch.tensor(weight.copy()).reshape(module.weight.shape))
        module.bias.copy_(torch.tensor(np.asarray(layer["bias"])))


def _layers(params: Any) -> list[dict[str, Any]]:
    """Returns our layers in the order in which torch_networks.UNet registers them."""
    downs = sorted(name for name in params if name.startswith("down"))
    ups = sorted(
        (name for name in params if name.startswith("up")),
        key=lambda name: (-int(name.split("_")[1]), name),
    )
    middle = ["middle_block_0", "middle_attention", "middle_block_1"]
    names = ["time_0", "time_1", "conv_in", *downs, *ups, *middle]
    found: list[dict[str, Any]] = []
    for name in [*names, "norm_out", "conv_out"]:
        part = params[name]
        if "bias" in part:
            found.append(part)
        elif "query" in part:
            joined = {
                leaf: np.concatenate(
                    [part[layer][leaf] for layer in ("query", "key", "value")], axis=-1
                )
                for leaf in ("kernel", "bias")
            }
            found += [part["norm"], joined, part["out"]]
        else:
            order = ("norm_0", "conv_0", "time", "norm_1", "conv_1", "shortcut")
            found += [part[layer] for layer in order if layer in part]
    return found
