"""Exports a trained model as one file."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from colddiff_jax.experiment.run_folder import describe
from colddiff_jax.io.model_file import write_model
from colddiff_jax.restoration.restorer import Restorer


def export_model(restorer: Restorer, path: str, *, half: bool = False) -> None:
    """Writes a trained model as one file.

    Of the images it was trained on, the file has the name and a fingerprint, but no
    folder of this machine.

    Args:
        restorer: from `load`.
        path: the file to write; its name should end in `.safetensors`.
        half: round the weights to float16, which halves the file; `load` makes them
            float32 again.

    Raises:
        InputError: the file cannot be written.

    Example:
        >>> export_model(load_run("runs/digits_blur"), "digits.safetensors")
        >>> load_run("digits.safetensors").step
        6
    """
    model = restorer.model
    about = describe(
        _without_folders(model.config),
        restorer.trained_on,
        model.scales,
        model.image_shape[-1],
        restorer.class_names,
    )
    about |= {
        "step": restorer.step,
        "severity": restorer.severity and restorer.severity.as_json(),
    }
    params = restorer.params
    if half:
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float16), params)
    write_model(path, about, params, restorer.prior_arrays)


def _without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration that names its images, but no folder of this machine."""
    sections = {}
    for name in ("data", "endpoints"):
        fields = {**config[name], "data_dir": ""}
        if path := fields.get("path"):
            fields["path"] = os.path.basename(os.path.abspath(path))
        sections[name] = {field: fields[field] for field in config[name]}
    return {**config, **sections}
