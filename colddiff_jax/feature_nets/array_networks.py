"""Feature networks from npz files of plain arrays.

Two architectures are supported and recognised by their array names: the ResNets for
CIFAR-10 of He et al. (2016), and MobileNet v1. Batch normalisation is expected to be
folded into the weights.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import InputError, listed, listed_by_kind
from colddiff_jax.feature_nets.features import FeatureNet, Features
from colddiff_jax.io.npz import open_npz
from colddiff_jax.models.layers import add_to_pixels

_Arrays = Mapping[str, np.ndarray]
_Apply = Callable[[Any, chex.Array], Features]

_RESNET_SIDE = 32
_RESNET_WIDTHS = (16, 32, 64)
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

# On 64 x 64 photographs without resizing it is five times faster, but the distance of
# slightly blurred photographs stands out less from that between two clean halves.
_MOBILENET_SIDE = 224
_MOBILENET_WIDTHS = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024)
_MOBILENET_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2)


def load_feature_net(path: str) -> FeatureNet:
    """Loads a feature network from a file of its arrays.

    Images are resized bilinearly to the network's training size, and grey is repeated
    as RGB. Arrays of any dtype are converted to float32. Kernels are [rows, columns,
    inputs, outputs].

    * A ResNet for CIFAR-10, with 6 n + 2 layers: `conv1`, `layer1_0/conv1`,
      `layer1_0/conv2` to `layer3_{n-1}/conv2`, each with `/w` and `/b`, `linear/w` and
      `linear/b`. 64 features and 10 class probabilities; 32 x 32 input.
    * MobileNet v1 of width 1 up to its 12th block: `conv1`, `dw1`, `pw1` to `dw12`,
      `pw12`, each with `/w` and `/b`, and `strides`. 1024 features; 224 x 224 input.

    Args:
        path: path of the .npz file.

    Returns:
        The network, named after the file.

    Raises:
        InputError: the file is missing, unreadable or not exactly one of these
            networks.

    Example:
        >>> net = load_feature_net("weights/cifar10_resnet56.npz")
        >>> net.name, net(jnp.zeros((8, 32, 32, 3))).pooled.shape
        ('cifar10_resnet56', (8, 64))

    Reference:
        He et al. (2016), arXiv:1512.03385, section 4.2, with shortcut option A; Howard
        et al. (2017), arXiv:1704.04861.
    """
    arrays = _read(path)
    found = [build for name, build in _BUILDERS.items() if name in arrays]
    if not found:
        raise InputError(
            f"{path!r} is not a feature network: it must hold the arrays of a ResNet "
            "for CIFAR-10 (conv1/w, layer1_0/conv1/w, ..., linear/b) or of MobileNet "
            f"v1 (conv1/w, dw1/w, pw1/w, ..., strides), got {listed(sorted(arrays))}"
        )
    _check_finite(path, arrays)
    apply = found[0](path, arrays)
    params = {name: array.astype(np.float32) for name, array in arrays.items()}
    return FeatureNet(pathlib.Path(path).stem, apply, params)


def _read(path: str) -> dict[str, np.ndarray]:
    """Reads the arrays of an npz file."""
    try:
        with open(path, "rb") as file, open_npz(file) as opened:
            return {name: opened[name] for name in opened.files}
    except FileNotFoundError:
        raise InputError(f"no file {path!r}; pass an .npz file of weights") from None
    except Exception as error:  # A zipfile, zlib, OS or pickle error.
        raise InputError(
            f"{path!r} is not a readable .npz file ({error}); copy it again"
        ) from error


def _check_finite(path: str, arrays: _Arrays) -> None:
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise InputError(
                f"{path!r}: {name} must hold finite numbers; copy the file again"
            )


def _check_shapes(
    path: str, what: str, arrays: _Arrays, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises an InputError that lists all arrays that do not match the shapes."""
    problems = {
        "missing": [name for name in shapes if name not in arrays],
        "unexpected": [name for name in arrays if name not in shapes],
        "with the wrong shape": [
            f"{name} {arrays[name].shape} instead of {shape}"
            for name, shape in shapes.items()
            if name in arrays and arrays[name].shape != shape
        ],
    }
    if any(problems.values()):
        raise InputError(
            f"the arrays of {path!r} do not form {what}: " + listed_by_kind(problems)
        )


class _Block(NamedTuple):
    """A residual block with two convolutions."""

    name: str
    channels: int
    width: int

    @property
    def stride(self) -> int:
        """2 where the number of channels doubles, else 1."""
        return self.width // self.channels


def _resnet_blocks(arrays: Mapping[str, Any]) -> list[_Block]:
    """Lists the blocks of a ResNet, as many in each stage as in the first."""
    depth = 0
    while f"layer1_{depth}/conv1/w" in arrays:
        depth += 1
    blocks, channels = [], _RESNET_WIDTHS[0]
    for stage, width in enumerate(_RESNET_WIDTHS, 1):
        for index in range(depth):
            blocks.append(_Block(f"layer{stage}_{index}", channels, width))
            channels = width
    return blocks


def _build_resnet(path: str, arrays: _Arrays) -> _Apply:
    """Checks the arrays of a ResNet for CIFAR-10."""
    first, last = _RESNET_WIDTHS[0], _RESNET_WIDTHS[-1]
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/w": (3, 3, 3, first),
        "conv1/b": (first,),
        "linear/w": (last, 10),
        "linear/b": (10,),
    }
    for name, channels, width in _resnet_blocks(arrays):
        shapes[f"{name}/conv1/w"] = (3, 3, channels, width)
        shapes[f"{name}/conv2/w"] = (3, 3, width, width)
        shapes[f"{name}/conv1/b"] = shapes[f"{name}/conv2/b"] = (width,)
    _check_shapes(path, "a ResNet for CIFAR-10", arrays, shapes)
    return _apply_resnet


def _apply_resnet(params: Any, x: chex.Array) -> Features:
    """Computes the features of images [B, H, W, C]."""
    x = _prepare(x, _RESNET_SIDE)
    mean, std = (m[None, None, None] for m in (_IMAGENET_MEAN, _IMAGENET_STD))
    h = jax.nn.relu(_conv(params, "conv1", ((x + 1) / 2 - mean) / std, 1, _SYMMETRIC))
    for block in _resnet_blocks(params):
        name, stride = block.name, block.stride
        # Option A: every second pixel, and zero channels on both sides.
        padding = (block.width - block.channels) // 2
        shortcut = h[:, ::stride, ::stride]
        shortcut = jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (padding, padding)))
        h = jax.nn.relu(_conv(params, f"{name}/conv1", h, stride, _SYMMETRIC))
        h = jax.nn.relu(_conv(params, f"{name}/conv2", h, 1, _SYMMETRIC) + shortcut)
    pooled = h.mean(axis=(1, 2))
    logits = _product(pooled, params["linear/w"]) + params["linear/b"][None]
    return Features(pooled, jax.nn.softmax(logits))


def _build_mobilenet(path: str, arrays: _Arrays) -> _Apply:
    """Checks the arrays of MobileNet v1."""
    widths, strides = _MOBILENET_WIDTHS, _MOBILENET_STRIDES
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/w": (3, 3, 3, widths[0]),
        "conv1/b": (widths[0],),
        "strides": (len(strides),),
    }
    for i in range(1, len(widths)):
        shapes[f"dw{i}/w"] = (3, 3, widths[i - 1])
        shapes[f"dw{i}/b"] = (widths[i - 1],)
        shapes[f"pw{i}/w"] = (widths[i - 1], widths[i])
        shapes[f"pw{i}/b"] = (widths[i],)
    _check_shapes(path, "MobileNet v1", arrays, shapes)
    if tuple(arrays["strides"]) != strides:
        raise InputError(
            f"{path!r}: strides must be {strides}, those of MobileNet v1, got "
            f"{tuple(arrays['strides'].tolist())}"
        )
    return _apply_mobilenet


def _apply_mobilenet(params: Any, x: chex.Array) -> Features:
    """Computes the features of images [B, H, W, C]."""
    x = _prepare(x, _MOBILENET_SIDE)
    h = jax.nn.relu6(_conv(params, "conv1", x, 2, "SAME"))
    for i, stride in enumerate(_MOBILENET_STRIDES, 1):
        h = _depthwise(h, params[f"dw{i}/w"], stride)
        h = jax.nn.relu6(add_to_pixels(h, params[f"dw{i}/b"]))
        h = _product(h, params[f"pw{i}/w"])
        h = jax.nn.relu6(add_to_pixels(h, params[f"pw{i}/b"]))
    return Features(h.mean(axis=(1, 2)))


def _prepare(x: chex.Array, side: int) -> chex.Array:
    """Converts images to RGB of shape [B, side, side, 3]."""
    batch, height, width, channels = x.shape
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got {channels}")
    if (height, width) != (side, side):
        x = jax.image.resize(x, (batch, side, side, channels), "bilinear")
    return jnp.repeat(x, 3 // channels, axis=-1)


# Distances must not depend on the backend: by default, GPUs and TPUs use fewer bits.
_PRECISION = jax.lax.Precision.HIGHEST
_SYMMETRIC = ((1, 1), (1, 1))  # As in PyTorch; TensorFlow's SAME differs at stride 2.


def _conv(
    params: Any, name: str, x: chex.Array, stride: int, padding: Any
) -> chex.Array:
    y = jax.lax.conv_general_dilated(
        x,
        params[f"{name}/w"],
        window_strides=(stride, stride),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=_PRECISION,
    )
    return add_to_pixels(y, params[f"{name}/b"])


def _product(x: chex.Array, matrix: chex.Array) -> chex.Array:
    return jnp.matmul(x, matrix, precision=_PRECISION)


def _depthwise(x: chex.Array, kernel: chex.Array, stride: int) -> chex.Array:
    """Applies a 3 x 3 depthwise convolution as a sum of shifted images.

    XLA's grouped convolution is many times slower on a CPU, and
    `models.depthwise.depthwise_conv`, designed for training, has no stride.
    """
    size, sides = 3, x.shape[1:3]
    padding = jax.lax.padtype_to_pads(sides, (size, size), (stride, stride), "SAME")
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height, width = (stride * ((side - 1) // stride) + 1 for side in sides)
    return sum(
        x[:, i : i + height : stride, j : j + width : stride]
        * kernel[i, j][None, None, None]
        for i, j in np.ndindex(size, size)
    )


# By the name of an array that only this architecture has.
_BUILDERS: dict[str, Callable[[str, _Arrays], _Apply]] = {
    "layer1_0/conv1/w": _build_resnet,
    "dw1/w": _build_mobilenet,
}
