"""Converts weights of the authors' PyTorch networks to Flax parameters.

The official code passes t - 1 to its networks, this library passes t. The first layer
of the time embedding absorbs the difference exactly, since sin((t - 1) w) and
cos((t - 1) w) are a rotation of sin(t w) and cos(t w).
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import InputError, listed_by_kind
from colddiff_jax.models.convnext import ConvNeXtUNet
from colddiff_jax.models.unet import UNet

_NETWORK = re.compile(r"^(?:module\.)*(?:denoise_fn|defade_fn)\.(?:module\.)*")


class _Names(NamedTuple):
    """Official names by our names.

    Attributes:
        parts: top-level layers and blocks, with regular expressions as keys.
        block: layers of a block.
        attention: layers of an attention block.
        norm: parameters of a normalisation in a block or attention block.
    """

    parts: dict[str, str]
    block: dict[str, str]
    attention: dict[str, str]
    norm: dict[str, str]


_CONVNEXT = _Names(
    parts={
        r"time_0": "time_mlp.1",
        r"time_1": "time_mlp.3",
        r"down_(\d+)_block_(\d+)": r"downs.\1.\2",
        r"down_(\d+)_attention": r"downs.\1.2",
        r"down_(\d+)_downsample": r"downs.\1.3",
        r"middle_block_0": "mid_block1",
        r"middle_attention": "mid_attn",
        r"middle_block_1": "mid_block2",
        # The official code counts up levels from the middle; see _official_name.
        r"up_(\d+)_block_(\d+)": r"ups.\1.\2",
        r"up_(\d+)_attention": r"ups.\1.2",
        r"up_(\d+)_upsample": r"ups.\1.3",
        r"block_out": "final_conv.0",
        r"conv_out": "final_conv.1",
    },
    block={
        "depthwise": "ds_conv",
        "time": "mlp.1",
        "norm": "net.0",
        "conv_0": "net.1",
        "conv_1": "net.3",
        "shortcut": "res_conv",
    },
    attention={"norm": "fn.norm", "qkv": "fn.fn.to_qkv", "out": "fn.fn.to_out"},
    norm={"scale": "g", "bias": "b"},
)
_RESNET = _Names(
    parts={
        r"time_(\d+)": r"temb.dense.\1",
        r"(conv_in|conv_out|norm_out)": r"\1",
        r"(down|up)_(\d+)_block_(\d+)": r"\1.\2.block.\3",
        r"(down|up)_(\d+)_attention_(\d+)": r"\1.\2.attn.\3",
        r"(down|up)_(\d+)_(downsample|upsample)": r"\1.\2.\3.conv",
        r"middle_block_0": "mid.block_1",
        r"middle_attention": "mid.attn_1",
        r"middle_block_1": "mid.block_2",
    },
    block={
        "norm_0": "norm1",
        "conv_0": "conv1",
        "time": "temb_proj",
        "norm_1": "norm2",
        "conv_1": "conv2",
        "shortcut": "nin_shortcut",
    },
    attention={
        "norm": "norm",
        "query": "q",
        "key": "k",
        "value": "v",
        "out": "proj_out",
    },
    norm={"scale": "weight", "bias": "bias"},
)


def network_weights(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Extracts the network from a state dictionary of the official diffusion classes.

    Args:
        state: "model" or "ema" of a checkpoint: arrays by name. Names of network
            weights start with `denoise_fn.` or `defade_fn.`, possibly after `module.`;
            those of blur kernels and other buffers do not.

    Returns:
        The network's weights, float32, by name within the network.

    Raises:
        InputError: no name has such a prefix.

    Example:
        >>> from colddiff_jax.io.torch_files import read_torch_file
        >>> weights = network_weights(read_torch_file("model.pt")["ema"])
    """
    found = {
        _NETWORK.sub("", name): value.astype(np.float32)
        for name, value in state.items()
        if isinstance(name, str)
        and _NETWORK.match(name)
        and isinstance(value, np.ndarray)
    }
    if not found:
        raise InputError(
            "no weight's name begins with denoise_fn. or defade_fn., as in the "
            f"official code; the first names are {list(state)[:3]}"
        )
    return found


def convert_weights(
    weights: Mapping[str, np.ndarray],
    model: nn.Module,
    image_shape: tuple[int, int, int],
) -> Any:
    """Converts the weights of an official network to parameters of our network.

    Args:
        weights: arrays by name within the official network, such as
            "downs.0.0.ds_conv.weight".
        model: `ConvNeXtUNet` or `UNet` with the same architecture.
        image_shape: shape (H, W, C) of its images.

    Returns:
        The parameters of `model`, float32, for steps in 1..T.

    Raises:
        InputError: weights are missing, unexpected or of the wrong shape; the message
            counts all of them and names the first few.

    Example:
        >>> from colddiff_jax.io.torch_files import read_torch_file
        >>> weights = network_weights(read_torch_file("model.pt")["ema"])
        >>> model = ConvNeXtUNet(base_channels=16, channel_multipliers=(1, 2, 4))
        >>> params = convert_weights(weights, model, (16, 16, 3))

    Reference:
        `Unet` and `Model` in the official code of Bansal et al. (2022).
    """
    if not isinstance(model, ConvNeXtUNet | UNet):
        raise InputError(f"no official network is a {type(model).__name__}")
    if model.num_classes:
        raise InputError("no official network has classes; set num_classes to 0")
    names = _CONVNEXT if isinstance(model, ConvNeXtUNet) else _RESNET
    levels = len(model.channel_multipliers)
    x, t = jnp.zeros((1, *image_shape)), jnp.ones(1, jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x, t)["params"]
    left, missing, different, params = dict(weights), [], [], {}
    for path, like in flax.traverse_util.flatten_dict(shapes).items():
        name = _official_name(path, names, levels)
        if name not in left:
            missing.append(name)
            continue
        value, expected = left.pop(name), _official_shape(path, like.shape)
        # Linear layers may be 1 x 1 convolutions, and normalisations broadcast.
        if _without_ones(value.shape) != _without_ones(expected):
            different.append(f"{name} {value.shape} for {expected}")
            continue
        params[path] = _to_our_layout(value.reshape(expected), path)
    problems = {
        "missing": missing,
        "left over": list(left),
        "of another shape": different,
    }
    if any(problems.values()):
        raise InputError(
            f"the weights do not fit this {type(model).__name__} for images of shape "
            f"{image_shape}: " + listed_by_kind(problems)
        )
    first = ("time_0", "kernel")
    if first in params:  # Absent in networks without time embedding.
        params[first] = _shift_step(params[first])
    return flax.traverse_util.unflatten_dict(params)


def _official_name(path: tuple[str, ...], names: _Names, levels: int) -> str:
    """Returns the official name of one of our parameters."""
    part, *inner, leaf = path
    matches = ((re.fullmatch(pattern, part), to) for pattern, to in names.parts.items())
    (name,) = (match.expand(to) for match, to in matches if match)
    from_middle = lambda match: f"ups.{levels - 1 - int(match[1])}"  # noqa: E731
    name = re.sub(r"^ups\.(\d+)", from_middle, name)
    leaves = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    if inner:
        layers = names.attention if "attention" in part else names.block
        name = f"{name}.{layers[inner[0]]}"
        if "norm" in inner[0]:
            leaves = names.norm
    return f"{name}.{leaves[leaf]}"


def _official_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the PyTorch shape of one of our parameters."""
    if len(shape) == 4 and _is_transposed(path, shape):
        return (shape[2], shape[3], *shape[:2])
    if len(shape) == 4:
        return (shape[3], shape[2], *shape[:2])
    return (shape[2], 1, *shape[:2]) if len(shape) == 3 else shape[::-1]


def _to_our_layout(value: np.ndarray, path: tuple[str, ...]) -> np.ndarray:
    """Converts a weight to the Flax layout: channels last, outputs after inputs."""
    if value.ndim < 4:
        return value.T
    if "depthwise" in path:  # One input channel per output channel.
        return value[:, 0].transpose(1, 2, 0)
    if _is_transposed(path, value.shape[2:]):
        # Kernels of PyTorch's transposed convolution are IOHW and flipped.
        return value.transpose(2, 3, 0, 1)[::-1, ::-1]
    return value.transpose(2, 3, 1, 0)


def _is_transposed(path: tuple[str, ...], size: tuple[int, ...]) -> bool:
    """Returns whether a layer with this name and kernel size is transposed."""
    return "upsample" in path[0] and size[:2] == (4, 4)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)


def _shift_step(kernel: np.ndarray) -> np.ndarray:
    """Adapts the first layer of the time embedding from steps t - 1 to t."""
    sines, cosines = np.split(kernel.astype(np.float64), 2)
    half = len(sines)
    w = np.exp(-np.log(10000.0) / (half - 1) * np.arange(half))[:, None]
    rotated = (
        np.cos(w) * sines + np.sin(w) * cosines,
        np.cos(w) * cosines - np.sin(w) * sines,
    )
    return np.concatenate(rotated).astype(np.float32)
