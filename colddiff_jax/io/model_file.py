"""A trained model as one file: the weights and the description of their run.

The file is in the safetensors format, which holds arrays and text but no code: weights
under their paths in the network, such as `conv_in/kernel`, the arrays of the prior as
`prior:means`, and in the metadata the description of the run as JSON and a SHA-256 of
everything.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.traverse_util
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.io import disk

_FIELDS = ("config", "data", "scales", "versions", "step", "channels")
_PRIOR = "prior:"  # Before the names of the arrays of a prior.


class ModelFile(NamedTuple):
    """The contents of a model file.

    Attributes:
        about: the description of the run, as returned by
            `experiment.run_folder.describe`, with the "step" of the weights, the number
            of "channels" of the images, and the estimator of their "severity" or None.
        params: the averaged weights, nested as in the network.
        prior_arrays: the arrays of the prior of generated images; empty without one.
    """

    about: dict[str, Any]
    params: dict[str, Any]
    prior_arrays: dict[str, np.ndarray]


def write_model(
    path: str,
    about: Mapping[str, Any],
    params: Mapping[str, Any],
    prior_arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes a trained model, atomically.

    Args:
        path: the file; its folder is created if missing.
        about: as in `ModelFile`.
        params: the weights of the network; arrays on any device.
        prior_arrays: as in `ModelFile`.

    Raises:
        InputError: the file cannot be written.

    Example:
        >>> about, params, prior_arrays = read_model("digits.safetensors")
        >>> write_model("copy.safetensors", about, params, prior_arrays)
    """
    import safetensors.numpy

    flat = flax.traverse_util.flatten_dict(params, sep="/")
    flat |= {_PRIOR + name: array for name, array in (prior_arrays or {}).items()}
    weights = {name: np.asarray(leaf, order="C") for name, leaf in flat.items()}
    text = json.dumps(dict(about))
    metadata = {"about": text, "sha256": _digest(text, weights)}
    disk.write_file(path, safetensors.numpy.save(weights, metadata))


def read_model(path: str) -> ModelFile:
    """Reads a trained model.

    Raises:
        InputError: the file is missing, corrupted or not a model file.

    Example:
        >>> read_model("digits.safetensors").about["step"]
        6
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(
            f"cannot read {path!r}: {error.strerror or error}; name a model file "
            "written by python -m colddiff_jax.cli.export"
        ) from error
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path!r} is not a model file, or is damaged ({error}); name a file "
            "written by python -m colddiff_jax.cli.export"
        ) from error
    if not {"about", "sha256"} <= metadata.keys():
        raise InputError(
            f"{path!r} holds weights without a description of their run; name a model "
            "file written by python -m colddiff_jax.cli.export"
        )
    if _digest(metadata["about"], weights) != metadata["sha256"]:
        raise InputError(f"{path!r} is corrupted; export the model again")
    found = json.loads(metadata["about"])
    about = {name: found[name] for name in _FIELDS}
    # Files of earlier versions have neither.
    about["severity"] = found.get("severity")
    about["class_names"] = found.get("class_names", [])
    prior_arrays = {
        name.removeprefix(_PRIOR): weights.pop(name)
        for name in list(weights)
        if name.startswith(_PRIOR)
    }
    params = flax.traverse_util.unflatten_dict(weights, sep="/")
    return ModelFile(about, params, prior_arrays)


def _digest(text: str, weights: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(weights):
        leaf = weights[name]
        digest.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
        digest.update(leaf.tobytes())
    return digest.hexdigest()
