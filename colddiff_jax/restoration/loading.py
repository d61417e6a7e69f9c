"""Loads the trained model of a run folder, of a file, or of the package."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

import jax
import numpy as np

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment import own_objects
from colddiff_jax.experiment.model import Model, build_model
from colddiff_jax.experiment.prior import load_prior
from colddiff_jax.experiment.run_folder import (
    load_description,
    scales_of,
    upgrade_description,
)
from colddiff_jax.io.model_file import read_model
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.severity import SeverityEstimator, load_severity

# Numbers of channels to try for runs of earlier versions, which did not store it.
_CHANNELS = (1, 3, 4, 2)


if TYPE_CHECKING:
    from colddiff_jax.io.checkpoints import Checkpoints

_SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "shipped")


@overload
def load() -> tuple[str, ...]: ...
@overload
def load(
    source: str | os.PathLike[str],
    *,
    checkpoint: str = ...,
    degradation: Degradation | None = ...,
    model: Any = ...,
) -> Restorer: ...
def load(
    source: str | os.PathLike[str] | None = None,
    *,
    checkpoint: str = "latest",
    degradation: Degradation | None = None,
    model: Any = None,
) -> Restorer | tuple[str, ...]:
    """Loads a trained model; without arguments, lists those that come with the package.

    No image set is opened.

    Args:
        source: a run folder of `train_and_evaluate`, a file of `export_model`, or the
            name of a model that comes with the package.
        checkpoint: as in `load_run`.
        degradation: as in `load_run`.
        model: as in `load_run`.

    Returns:
        The model, or the names of those that come with the package.

    Raises:
        InputError: no such folder, file or name, no checkpoint, or a damaged one.

    Example:
        >>> restorer = load("runs/digits_blur")
        >>> restorer.image_shape
        (16, 16, 1)
    """
    if source is None:
        return _shipped_models()
    return load_run(os.fspath(source), checkpoint, degradation=degradation, model=model)


def load_run(
    workdir: str,
    checkpoint: str = "latest",
    *,
    degradation: Degradation | None = None,
    model: Any = None,
) -> Restorer:
    """Loads the trained model of a run folder, or of an exported file.

    Args:
        workdir: the run folder of `train_and_evaluate`, a file of `export_model`, which
            has one checkpoint, or the name of a model that comes with the package.
        checkpoint: "latest" (the newest that is not damaged), "best" (by the run's
            `evaluation.best_by`) or the number of a step.
        degradation: D, unbound, if the model was trained with an object in place of a
            degradation of its configuration.
        model: the network, if one was given in place of that of the configuration; see
            `train_and_evaluate`.

    Raises:
        InputError: no such folder or file, no checkpoint in it, or one that is damaged;
            a degradation or network that is missing or does not fit.

    Example:
        >>> restorer = load_run("runs/digits_blur")
        >>> degrade = restorer.model.degrade
        >>> x = jnp.zeros((1, *restorer.model.image_shape))
        >>> x_T = degrade(x, degrade.num_steps)
        >>> x_0 = sample_alg2(restorer.restore_fn, degrade, x_T).x_0
    """
    if not os.path.exists(workdir):
        if workdir not in _shipped_models():
            raise InputError(
                f"no run folder {workdir!r}; train a model there first, or name a file "
                f"or one of the models {', '.join(_shipped_models())}"
            )
        workdir = os.path.join(_SHIPPED, f"{workdir}.safetensors")
    if os.path.isfile(workdir):
        return _load_file(workdir, checkpoint, degradation, model)
    # Orbax takes a second to import, and files do not need it.
    from colddiff_jax.io.checkpoints import open_checkpoints

    description = load_description(workdir)
    given = own_objects.checked(description["config"], degradation, model)
    best_by = description["config"]["evaluation"].get("best_by", "test_loss")
    with open_checkpoints(workdir, best_by) as saved:
        if not saved.steps():
            raise InputError(
                f"{workdir!r} has no checkpoint yet; continue its training first"
            )
        chosen = _choose_step(saved, checkpoint)
        built = _build_model(description, saved, given)
        like = {"ema_params": devices.replicated_like(built.abstract_params)}
        if chosen is None:
            parts, step = saved.restore_newest(like, partial=True)
        else:
            parts, step = saved.restore(like, chosen, partial=True), chosen
    return Restorer(
        built,
        parts["ema_params"],
        step,
        description["data"],
        severity=load_severity(workdir),
        prior_arrays=load_prior(workdir),
        class_names=tuple(description["class_names"]),
    )


def _shipped_models() -> tuple[str, ...]:
    names = os.listdir(_SHIPPED) if os.path.isdir(_SHIPPED) else []
    return tuple(
        sorted(
            stem
            for stem, extension in map(os.path.splitext, names)
            if extension == ".safetensors"
        )
    )


def output_folder(workdir: str) -> str:
    """Returns the folder for results: the run folder, or one next to a model file."""
    return os.path.splitext(workdir)[0] if os.path.isfile(workdir) else workdir


def _choose_step(saved: "Checkpoints", checkpoint: str) -> int | None:
    """Returns the step of a checkpoint; None for the newest that is not damaged."""
    if checkpoint == "best":
        return saved.best_step()
    if checkpoint == "latest":
        return None
    if checkpoint.isdecimal():
        return int(checkpoint)
    raise InputError(
        f"`checkpoint` must be latest, best or the number of a step, got {checkpoint!r}"
    )


def _build_model(
    description: Mapping[str, Any],
    saved: "Checkpoints",
    given: dict[str, Any],
) -> Model:
    config, scales = description["config"], scales_of(description)
    channels = description["channels"]
    if channels is not None:
        return build_model(config, channels=channels, scales=scales, **given)
    for channels in _CHANNELS:
        model = build_model(config, channels=channels, scales=scales)
        if saved.has_parts({"ema_params": model.abstract_params}):
            return model
    # None fits: restoring the checkpoint will say why.
    return build_model(config, channels=3, scales=scales)


def _load_file(
    path: str, checkpoint: str, degradation: Degradation | None, model: Any
) -> Restorer:
    about, params, prior_arrays = read_model(path)
    if checkpoint not in ("latest", str(about["step"])):
        raise InputError(
            f"{path!r} holds one checkpoint, of step {about['step']}; got `checkpoint` "
            f"{checkpoint!r}"
        )
    description = upgrade_description(about)
    config, scales = description["config"], scales_of(description)
    given = own_objects.checked(config, degradation, model)
    built = build_model(config, channels=about["channels"], scales=scales, **given)
    like = built.abstract_params
    if jax.tree.map(np.shape, params) != jax.tree.map(np.shape, like):
        network = "the network of its configuration"
        fix = "export the model again with this version"
        if model is not None:
            network, fix = "`model`", "give the network that it was trained with"
        raise InputError(f"the weights in {path!r} do not fit {network}; {fix}")
    # Weights may be stored with fewer bits.
    params = jax.tree.map(lambda leaf, kind: leaf.astype(kind.dtype), params, like)
    return Restorer(
        built,
        devices.replicate(params),
        about["step"],
        about["data"],
        severity=about["severity"] and SeverityEstimator.from_json(about["severity"]),
        prior_arrays=prior_arrays,
        class_names=tuple(description["class_names"]),
    )
