"""Checkpoints of a run: the last two and the best, through Orbax."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from colddiff_jax.errors import InputError


class Checkpoints:
    """The checkpoints under a run folder.

    Args:
        workdir: the run folder; they live in its subfolder `checkpoints`.
    """

    def __init__(self, workdir: str):
        self._folder = os.path.abspath(os.path.join(workdir, "checkpoints"))
        options = ocp.CheckpointManagerOptions(
            best_fn=_loss,  # Without it Orbax writes no metrics.
            best_mode="min",
            # Both policies: keeping the best alone would delete the newest one, which a
            # resumed run needs.
            preservation_policy=preservation_policy.AnyPreservationPolicy(
                [
                    preservation_policy.LatestN(2),
                    preservation_policy.BestN(
                        n=1,
                        get_metric_fn=_loss,
                        reverse=True,
                        keep_checkpoints_without_metrics=False,
                    ),
                ]
            ),
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, in rising order."""
        return sorted(self._manager.all_steps())

    def best_step(self) -> int | None:
        """The step of the lowest held-out loss, or None if no checkpoint has one."""
        losses = {step: self._manager.metrics(step) for step in self.steps()}
        scored = {step: _loss(metrics) for step, metrics in losses.items() if metrics}
        return min(scored, key=scored.__getitem__) if scored else None

    def save(self, state: Any, step: int, loss: float | None) -> None:
        """Starts to save a state in the background, with its held-out loss if known."""
        metrics = None if loss is None else {"loss": loss}
        self._manager.save(step, args=ocp.args.StandardSave(state), metrics=metrics)

    def restore(self, like: Any, step: int) -> Any:
        """Restores the state of a step.

        Args:
            like: a state of the same structure, of `jax.ShapeDtypeStruct`s that say
                where the arrays go, as `parallel.replicated_like` makes them.
            step: one of `steps()`.

        Raises:
            InputError: there is no such checkpoint, or it is of another network.
        """
        if step not in self.steps():
            raise InputError(
                f"{self._folder} has no checkpoint of step {step}; it has "
                f"{self.steps()}"
            )
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except ValueError as error:
            raise InputError(
                f"the checkpoint of step {step} in {self._folder} does not fit the "
                f"network of its configuration ({str(error).splitlines()[0]})"
            ) from error

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


@contextlib.contextmanager
def open_checkpoints(workdir: str) -> Iterator[Checkpoints]:
    """The checkpoints of a run; on leaving, waits until everything is on disk."""
    checkpoints = Checkpoints(workdir)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _loss(metrics: dict[str, float]) -> float:
    return metrics["loss"]
