"""Both published networks as plain torch.nn modules, for comparison."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def sinusoidal(t: torch.Tensor, features: int) -> torch.Tensor:
    half = features // 2
    w = torch.exp(-math.log(10000.0) / (half - 1) * torch.arange(half, device=t.device))
    angles = t.float()[:, None] * w[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of NCHW images."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, step: int | None, norm: bool = True):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 7, padding=3, groups=inputs)
        self.step = nn.Linear(step, inputs) if step else None
        self.norm = ChannelNorm(inputs) if norm else nn.Identity()
        self.conv_0 = nn.Conv2d(inputs, 2 * outputs, 3, padding=1)
        self.conv_1 = nn.Conv2d(2 * outputs, outputs, 3, padding=1)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, temb: torch.Tensor | None) -> torch.Tensor:
        h = self.depthwise(x)
        if self.step is not None:
            h = h + self.step(F.gelu(temb))[:, :, None, None]
        h = self.conv_1(F.gelu(self.conv_0(self.norm(h))))
        return h + self.shortcut(x)


class LinearAttention(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.qkv = nn.Conv2d(channels, 384, 1, bias=False)
        self.out = nn.Conv2d(128, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, 4, 32, height * width)
        query, key, value = qkv.unbind(1)
        context = key.softmax(dim=-1) @ value.transpose(-1, -2)
        h = context.transpose(-1, -2) @ (query * 32**-0.5)
        return x + self.out(h.reshape(batch, 128, height, width))


class ConvNeXtUNet(nn.Module):
    def __init__(self, channels: int, base: int = 64, multipliers=(1, 2, 4, 8)):
        super().__init__()
        widths = [base * m for m in multipliers]
        self.base = base
        self.time = nn.Sequential(
            nn.Linear(base, 4 * base), nn.GELU(), nn.Linear(4 * base, base)
        )
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        inputs = [channels, *widths[:-1]]
        for level, (before, width) in enumerate(zip(inputs, widths, strict=True)):
            last = level == len(widths) - 1
            self.downs.append(
                nn.ModuleList(
                    [
                        ConvNeXtBlock(before, width, base, norm=level > 0),
                        ConvNeXtBlock(width, width, base),
                        LinearAttention(width),
                        nn.Identity() if last else nn.Conv2d(width, width, 4, 2, 1),
                    ]
                )
            )
        self.middle_0 = ConvNeXtBlock(widths[-1], widths[-1], base)
        self.middle_attention = LinearAttention(widths[-1])
        self.middle_1 = ConvNeXtBlock(widths[-1], widths[-1], base)
        for level in range(len(widths) - 1, 0, -1):
            width = widths[level - 1]
            self.ups.append(
                nn.ModuleList(
                    [
                        ConvNeXtBlock(2 * widths[level], width, base),
                        ConvNeXtBlock(width, width, base),
                        LinearAttention(width),
                        nn.ConvTranspose2d(width, width, 4, 2, 1),
                    ]
                )
            )
        self.last = ConvNeXtBlock(base, base, None)
        self.out = nn.Conv2d(base, channels, 1)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        temb = self.time(sinusoidal(t, self.base))
        skips = []
        for block_0, block_1, attention, down in self.downs:
            x = attention(block_1(block_0(x, temb), temb))
            skips.append(x)
            x = down(x)
        x = self.middle_attention(self.middle_0(x, temb))
        x = self.middle_1(x, temb)
        for block_0, block_1, attention, up in self.ups:
            x = torch.cat([x, skips.pop()], dim=1)
            x = up(attention(block_1(block_0(x, temb), temb)))
        return self.out(self.last(x, None))


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, step: int, dropout: float = 0.1):
        super().__init__()
        self.norm_0 = nn.GroupNorm(32, inputs, eps=1e-6)
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.step = nn.Linear(step, outputs)
        self.norm_1 = nn.GroupNorm(32, outputs, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, temb: torch.Tensor) -> torch.Tensor:
        h = self.conv_0(F.silu(self.norm_0(x)))
        h = h + self.step(F.silu(temb))[:, :, None, None]
        h = self.conv_1(self.dropout(F.silu(self.norm_1(h))))
        return h + self.shortcut(x)


class SelfAttention(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)
        query, key, value = flat.chunk(3, dim=-1)
        h = F.scaled_dot_product_attention(query, key, value)
        return x + self.out(h.transpose(1, 2).reshape(x.shape))


class UNet(nn.Module):
    def __init__(
        self,
        channels: int,
        base: int = 128,
        multipliers=(1, 2, 2, 2),
        num_blocks: int = 2,
        side: int = 32,
        attention: int = 16,
    ):
        super().__init__()
        self.base, step = base, 4 * base
        self.time = nn.Sequential(
            nn.Linear(base, step), nn.SiLU(), nn.Linear(step, step)
        )
        self.conv_in = nn.Conv2d(channels, base, 3, padding=1)
        widths, current, skips = [base * m for m in multipliers], base, [base]

        def stage(inputs: int, outputs: int) -> nn.ModuleList:
            attend = SelfAttention(outputs) if side == attention else nn.Identity()
            return nn.ModuleList([ResidualBlock(inputs, outputs, step), attend])

        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            for _ in range(num_blocks):
                self.downs.append(stage(current, width))
                current = width
                skips.append(current)
            if level < len(widths) - 1:
                self.downs.append(nn.Conv2d(current, current, 3, stride=2))
                skips.append(current)
                side //= 2
        self.middle_0 = ResidualBlock(current, current, step)
        self.middle_attention = SelfAttention(current)
        self.middle_1 = ResidualBlock(current, current, step)
        for level in range(len(widths) - 1, -1, -1):
            for _ in range(num_blocks + 1):
                self.ups.append(stage(current + skips.pop(), widths[level]))
                current = widths[level]
            if level > 0:
                self.ups.append(nn.Conv2d(current, current, 3, padding=1))
                side *= 2
        self.norm_out = nn.GroupNorm(32, current, eps=1e-6)
        self.conv_out = nn.Conv2d(current, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        temb = self.time(sinusoidal(t, self.base))
        x = self.conv_in(x)
        skips = [x]
        for layer in self.downs:
            if isinstance(layer, nn.Conv2d):
                x = layer(F.pad(x, (0, 1, 0, 1)))
            else:
                block, attend = layer
                x = attend(block(x, temb))
            skips.append(x)
        x = self.middle_1(self.middle_attention(self.middle_0(x, temb)), temb)
        for layer in self.ups:
            if isinstance(layer, nn.Conv2d):
                x = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            else:
                block, attend = layer
                x = attend(block(torch.cat([x, skips.pop()], dim=1), temb))
        return self.conv_out(F.silu(self.norm_out(x)))
