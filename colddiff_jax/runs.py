"""A trained run, loaded for sampling and evaluation."""

from typing import Any, NamedTuple

from colddiff_jax.checkpoints import open_checkpoints
from colddiff_jax.errors import InputError
from colddiff_jax.training.experiment import Experiment, build_experiment
from colddiff_jax.training.run_folder import load_description, load_scales


class Run(NamedTuple):
    """A run folder's objects and trained weights.

    Attributes:
        experiment: the objects its configuration describes.
        step: the number of the checkpoint.
        params: its averaged (EMA) weights, on all local devices.
    """

    experiment: Experiment
    step: int
    params: Any


def load_run(workdir: str, checkpoint: str = "latest") -> Run:
    """Loads a run folder.

    Args:
        workdir: the run folder of `train.py`.
        checkpoint: "latest", "best" (lowest held-out loss) or the number of a step.

    Raises:
        InputError: no such folder, no checkpoint in it, or data that are not there.

    Example:
        >>> run = load_run("runs/digits_blur")
        >>> restore_fn = jax.tree_util.Partial(
        ...     run.experiment.model.apply, {"params": run.params}
        ... )
    """
    config = load_description(workdir)["config"]
    with open_checkpoints(workdir) as saved:
        steps = saved.steps()
        if not steps:
            raise InputError(
                f"{workdir!r} has no checkpoint yet; train it further with train.py"
            )
        if checkpoint == "latest":
            step = steps[-1]
        elif checkpoint == "best":
            best = saved.best_step()  # May be 0.
            step = steps[-1] if best is None else best
        elif checkpoint.isdecimal():
            step = int(checkpoint)
        else:
            raise InputError(
                "checkpoint must be latest, best or the number of a step, got "
                f"{checkpoint!r}"
            )
        experiment = build_experiment(config, scales=load_scales(workdir))
        state = saved.restore(experiment.abstract_state(), step)
    return Run(experiment=experiment, step=step, params=state.ema_params)
