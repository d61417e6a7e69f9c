"""A trained run, or a file of its model, loaded for sampling and evaluation."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from colddiff_jax import parallel
from colddiff_jax.checkpoints import open_checkpoints
from colddiff_jax.data import ImageSplits
from colddiff_jax.errors import InputError
from colddiff_jax.model_file import read_model
from colddiff_jax.training.experiment import Experiment, build_experiment
from colddiff_jax.training.run_folder import load_description, scales_of


class Run(NamedTuple):
    """The objects and trained weights of a run.

    Attributes:
        config: its configuration, nested fields.
        experiment: the objects the configuration describes.
        step: the number of the checkpoint.
        params: its averaged (EMA) weights, on all local devices.
        trained_on: a hash of the images that it was trained on.
    """

    config: dict[str, Any]
    experiment: Experiment
    step: int
    params: Any
    trained_on: str


def load_run(
    workdir: str, checkpoint: str = "latest", *, splits: ImageSplits | None = None
) -> Run:
    """Loads a run folder, or a file of its model.

    It prints a line if the configuration leads to other images than those that the run
    was trained on, as after training on arrays in a notebook.

    Args:
        workdir: the run folder of `train.py`, or a file of `colddiff_jax.export`, which
            has one checkpoint.
        checkpoint: "latest" (of those that are not damaged), "best" (by the run's
            `evaluation.best_by`) or the number of a step.
        splits: images to use instead of those that the run's configuration names.

    Raises:
        InputError: no such folder or file, no checkpoint in it, one that is damaged,
            data that are not there, or images of another number of channels.

    Example:
        >>> run = load_run("runs/digits_blur")
        >>> restore_fn = jax.tree_util.Partial(
        ...     run.experiment.model.apply, {"params": run.params}
        ... )
    """
    if os.path.isfile(workdir):
        return _load_file(workdir, checkpoint, splits)
    description = load_description(workdir)
    config = description["config"]
    best_by = config["evaluation"].get("best_by", "test_loss")
    with open_checkpoints(workdir, best_by) as saved:
        if not saved.steps():
            raise InputError(
                f"{workdir!r} has no checkpoint yet; train it further with train.py"
            )
        best = saved.best_step() if checkpoint == "best" else None  # May be 0.
        if best is not None:
            chosen = best
        elif checkpoint in ("best", "latest"):
            chosen = None
        elif checkpoint.isdecimal():
            chosen = int(checkpoint)
        else:
            raise InputError(
                "checkpoint must be latest, best or the number of a step, got "
                f"{checkpoint!r}"
            )
        experiment = _build(workdir, description, splits)
        like = experiment.abstract_state()
        if chosen is None:
            state, step = saved.restore_newest(like)
        else:
            state, step = saved.restore(like, chosen), chosen
    return Run(config, experiment, step, state.ema_params, description["data"])


def outputs_of(workdir: str) -> str:
    """The folder for what a run restores: its own, or one beside the model's file."""
    return os.path.splitext(workdir)[0] if os.path.isfile(workdir) else workdir


def _load_file(path: str, checkpoint: str, splits: ImageSplits | None) -> Run:
    about, params = read_model(path)
    if checkpoint not in ("latest", str(about["step"])):
        raise InputError(
            f"{path!r} holds one checkpoint, that of step {about['step']}, got "
            f"checkpoint {checkpoint!r}"
        )
    experiment = _build(path, about, splits)
    channels = experiment.image_shape[-1]
    if channels != about["channels"]:
        raise InputError(
            f"the model in {path!r} restores images of {about['channels']} channel(s), "
            f"and these have {channels}"
        )
    like = experiment.abstract_state().ema_params
    if jax.tree.map(jnp.shape, params) != jax.tree.map(jnp.shape, like):
        raise InputError(
            f"the weights in {path!r} do not fit the network of its configuration; "
            "export the model again with this version"
        )
    params = parallel.replicate(params)
    return Run(about["config"], experiment, about["step"], params, about["data"])


def _build(
    path: str, description: Mapping[str, Any], splits: ImageSplits | None
) -> Experiment:
    """The objects of a description, and a word if its images are no longer those."""
    try:
        experiment = build_experiment(
            description["config"], splits=splits, scales=scales_of(description)
        )
    except InputError as error:
        if splits is not None:
            raise
        where = path if os.path.isfile(path) else os.path.join(path, "config.json")
        raise InputError(f"{error} (as {where} has it)") from error
    if splits is None and experiment.fingerprint() != description["data"]:
        print(
            f"{path}: data.source {description['config']['data']['source']!r} gives "
            "other images now than the run was trained on",
            flush=True,
        )
    return experiment
