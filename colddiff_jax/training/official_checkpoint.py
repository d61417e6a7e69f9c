"""Converts the authors' PyTorch checkpoints to run folders."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.experiment.run_folder import describe, save_description
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.io.torch_files import read_torch_file
from colddiff_jax.models.official_weights import convert_weights, network_weights
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.task import build_model_and_task


def convert_checkpoint(path: str, config: Mapping[str, Any], workdir: str) -> int:
    """Converts an official checkpoint to a run folder.

    Args:
        path: the `.pt` file, a dictionary of step, model and ema.
        config: the configuration that it was trained with, as in `configs/`.
        workdir: the new run folder.

    Returns:
        The number of optimizer steps of the checkpoint.

    Raises:
        InputError: a file that is not such a checkpoint, weights that do not fit the
            configuration, or a run folder that is not empty. Nothing is written then.

    Example:
        >>> config = get_config("mnist_blur:paper")
        >>> convert_checkpoint("model.pt", config, "runs/official")  # doctest: +SKIP
        700000
    """
    if os.path.exists(workdir) and (not os.path.isdir(workdir) or os.listdir(workdir)):
        raise InputError(f"{workdir!r} exists already; choose another `workdir`")
    saved = read_torch_file(path)
    _check_official(saved, path)
    model, task = build_model_and_task(config)
    params, ema_params = (
        convert_weights(network_weights(saved[name]), model.network, model.image_shape)
        for name in ("model", "ema")
    )
    step = saved["step"]
    state = TrainState(
        step=jnp.int32(step),
        params=params,
        ema_params=ema_params,
        opt_state=task.optimizer.init(params),
    )
    parent = os.path.dirname(os.path.abspath(workdir))
    os.makedirs(parent, exist_ok=True)
    # The folder is renamed once it is complete.
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as made:
        with open_checkpoints(made) as checkpoints:
            channels = model.image_shape[-1]
            about = describe(model.config, task.data.fingerprint(), None, channels)
            checkpoints.save(devices.replicate(state), step, None, about)
        save_description(about, made)
        os.chmod(made, 0o755)  # Temporary folders are private.
        os.rename(made, workdir)
    return step


def _check_official(saved: Any, path: str) -> None:
    """Raises InputError unless this is a checkpoint of the official code."""
    if not isinstance(saved, dict) or not {"step", "model", "ema"} <= saved.keys():
        found = list(saved)[:3] if isinstance(saved, dict) else type(saved).__name__
        raise InputError(
            f"{path!r} is not a checkpoint of the official code: it should hold step, "
            f"model and ema, but holds {found}"
        )
    for name in ("model", "ema"):
        if not isinstance(saved[name], dict):
            raise InputError(
                f"{path!r} is not a checkpoint of the official code: its {name} should "
                f"be a dictionary of weights, but is a {type(saved[name]).__name__}"
            )
    step = saved["step"]
    if type(step) is not int or not 0 <= step < 2**31:
        raise InputError(f"{path!r} should hold a number of steps, but holds {step!r}")
