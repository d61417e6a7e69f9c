"""The Inception network of 2015, which defines FID and the Inception Score.

`load_inception` reads its published weights, in PyTorch's format, and folds the batch
normalisations into the convolutions.
"""

import os
from collections.abc import Mapping
from typing import Any

import chex
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import InputError, listed_by_kind
from colddiff_jax.feature_nets.features import FeatureNet, Features
from colddiff_jax.feature_nets.inception_network import (
    SIDE,
    Inception,
    resize_for_inception,
)
from colddiff_jax.feature_nets.weights import cache_folder, check_sha256, find_weights
from colddiff_jax.io.torch_files import read_torch_file

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    + INCEPTION_FILE
)
_BYTES = 95_628_359
_ENTRIES = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
_EPSILON = 1e-3  # Of batch normalisation.


def features(params: Any, x: chex.Array) -> Features:
    """Applies the network with `inception_params`; see `load_inception`."""
    features: Any = Inception().apply({"params": params}, resize_for_inception(x))
    return features


def load_inception(
    path: str | None = None, *, sha256: str = INCEPTION_SHA256
) -> FeatureNet:
    """Loads the network for FID, with its published weights.

    Args:
        path: file of the weights; None searches for INCEPTION_FILE with `find_weights`.
        sha256: hash of the file, checked before its contents are parsed.

    Returns:
        A network for images of any size with 1 or 3 channels, which computes 2048
        pooled features and 1008 probabilities.

    Raises:
        InputError: the file is missing or has a different hash.

    Example:
        >>> net = load_inception()  # doctest: +SKIP
        >>> net(jnp.zeros((8, 32, 32, 3))).pooled.shape  # doctest: +SKIP
        (8, 2048)

    Reference:
        Heusel et al. (2017), arXiv:1706.08500, with the weights and the resizing of
        github.com/mseitzer/pytorch-fid. The probabilities are computed without the bias
        of the last layer, as in the original Inception Score and in torch-fidelity. The
        features of torch-fidelity differ slightly: like TensorFlow 1, it resizes
        without half-pixel centres, and it maps a uint8 value u to (u - 128) / 128.
    """
    found = path or find_weights(INCEPTION_FILE)
    if found is None or not os.path.isfile(found):
        raise InputError(
            f"no file {path or INCEPTION_FILE!r} ({_BYTES:,} bytes, SHA-256 {sha256}): "
            f"download {INCEPTION_URL} to {cache_folder()}, or to the "
            "folder named by COLDDIFF_DATA"
        )
    check_sha256(found, sha256)
    return FeatureNet(
        "Inception 2015",
        features,
        inception_params(read_torch_file(found)),
        is_fid=True,
    )


def inception_params(state: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the weights of the PyTorch network to parameters of `Inception`.

    Args:
        state: state dictionary that maps names, such as
            "Mixed_5b.branch1x1.conv.weight", to arrays.

    Returns:
        float32 parameters; batch normalisation is folded in, in float64.

    Raises:
        InputError: entries are missing, unexpected or of the wrong shape; the message
            counts all of them and names the first few.

    Example:
        >>> state = read_torch_file(find_weights(INCEPTION_FILE))  # doctest: +SKIP
        >>> params = inception_params(state)  # doctest: +SKIP
    """
    shapes = jax.eval_shape(
        Inception().init, jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3))
    )["params"]
    kernels = {
        ".".join(layer): leaf.shape
        for (*layer, kind), leaf in flax.traverse_util.flatten_dict(shapes).items()
        if kind == "kernel"
    }
    _check_entries(state, kernels)
    params: dict[str, Any] = {}
    for layer in kernels:
        for kind, value in _fold_batch_norm(state, layer).items():
            params[f"{layer}.{kind}"] = jnp.asarray(value, jnp.float32)
    return flax.traverse_util.unflatten_dict(params, sep=".")


def _fold_batch_norm(state: Mapping[str, Any], layer: str) -> dict[str, np.ndarray]:
    """Returns the parameters of a layer, with its batch normalisation folded in."""
    if layer == "fc":
        return {"kernel": state["fc.weight"].T}
    weight, scale, shift, mean, variance = (
        np.asarray(state[f"{layer}.{entry}"], np.float64) for entry in _ENTRIES
    )
    scale = scale / np.sqrt(variance + _EPSILON)
    kernel = weight.transpose(2, 3, 1, 0) * scale
    if kernel.shape[:2] == (1, 1):
        kernel = kernel[0, 0]
    return {"kernel": kernel, "bias": shift - mean * scale}


def _check_entries(
    state: Mapping[str, Any], kernels: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises InputError unless a state dictionary matches our layers' kernels."""
    expected: dict[str, tuple[int, ...]] = {}
    for layer, (*size, inputs, outputs) in kernels.items():
        if layer == "fc":
            expected |= {"fc.weight": (outputs, inputs), "fc.bias": (outputs,)}
            continue
        expected |= {f"{layer}.{entry}": (outputs,) for entry in _ENTRIES}
        expected[f"{layer}.conv.weight"] = (outputs, inputs, *(size or (1, 1)))
    found = {
        name: np.shape(value)
        for name, value in state.items()
        if not name.endswith(".num_batches_tracked")  # Used in training only.
    }
    problems = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "with the wrong shape": [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ],
    }
    if any(problems.values()):
        raise InputError(
            "the weights do not fit the Inception network of 2015: "
            + listed_by_kind(problems)
        )
