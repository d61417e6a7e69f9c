"""A trained run, loaded for sampling and evaluation."""

from typing import Any, NamedTuple

from colddiff_jax.checkpoints import open_checkpoints
from colddiff_jax.data import ImageSplits
from colddiff_jax.errors import InputError
from colddiff_jax.training.experiment import Experiment, build_experiment
from colddiff_jax.training.run_folder import load_description, load_scales


class Run(NamedTuple):
    """A run folder's objects and trained weights.

    Attributes:
        config: its configuration, nested fields.
        experiment: the objects the configuration describes.
        step: the number of the checkpoint.
        params: its averaged (EMA) weights, on all local devices.
    """

    config: dict[str, Any]
    experiment: Experiment
    step: int
    params: Any


def load_run(
    workdir: str, checkpoint: str = "latest", *, splits: ImageSplits | None = None
) -> Run:
    """Loads a run folder.

    Args:
        workdir: the run folder of `train.py`.
        checkpoint: "latest" (of those that are not damaged), "best" (by the run's
            `evaluation.best_by`) or the number of a step.
        splits: images to use instead of those that the run's configuration names.

    Raises:
        InputError: no such folder, no checkpoint in it, one that is damaged, or data
            that are not there.

    Example:
        >>> run = load_run("runs/digits_blur")
        >>> restore_fn = jax.tree_util.Partial(
        ...     run.experiment.model.apply, {"params": run.params}
        ... )
    """
    config = load_description(workdir)["config"]
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
        experiment = build_experiment(
            config, splits=splits, scales=load_scales(workdir)
        )
        like = experiment.abstract_state()
        if chosen is None:
            state, step = saved.restore_newest(like)
        else:
            state, step = saved.restore(like, chosen), chosen
    return Run(config=config, experiment=experiment, step=step, params=state.ema_params)
