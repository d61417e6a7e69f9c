"""What a run leaves in its folder: logs, evaluations and checkpoints."""

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from colddiff_jax import devices
from colddiff_jax.io.checkpoints import Checkpoints
from colddiff_jax.training import writers
from colddiff_jax.training.evaluation_log import log_evaluation, scores_by_name
from colddiff_jax.training.evaluator import Evaluator
from colddiff_jax.training.interruption import Interrupted
from colddiff_jax.training.late_scores import add_scores
from colddiff_jax.training.progress import Progress
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.step_metrics import StepMetrics
from colddiff_jax.training.task import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """Logs, evaluates and saves the states of a run.

    Attributes:
        workdir: the run folder.
        about: the description of the run, from `describe`.
        task: the options, and the images to evaluate.
        evaluator: scores a state.
        saved: the checkpoints.
        progress: the progress line.
        logs: the writers; none except in the main process.
        metrics: the metrics of the steps since they were last logged.
    """

    workdir: str
    about: dict[str, Any]
    task: Task
    evaluator: Evaluator
    saved: Checkpoints
    progress: Progress
    logs: Sequence[writers.Writer]
    metrics: StepMetrics

    def evaluate_and_save(
        self, state: TrainState, step: int, stop_requested: Callable[[], bool]
    ) -> None:
        """Evaluates and saves the state before a step, whichever is due.

        Raises:
            Interrupted: a stop was requested before the evaluation was done.
        """
        options = self.task.training
        last = step == options.num_steps
        saving = last or step % options.checkpoint_every == 0
        # Waits for the steps so far: a non-finite state must never be saved, and their
        # metrics must be written first, since a resumed run starts after them.
        if saving:
            self.log(step)
        scores = None
        if evaluation_is_due(self.task, step):
            self.metrics.check(step)
            with self.progress.paused(), self.kept(state, step):
                scores = self._evaluate(state, step, stop_requested)
        if saving:
            self._save(state, step, scores)

    def save(self, state: TrainState, step: int) -> None:
        """Saves the state before a step, without an evaluation, and waits until then.

        If one is due at this step, the run begins with it when it resumes there.
        """
        self.log(step)
        self._save(state, step, None)
        self.saved.wait()

    @contextlib.contextmanager
    def kept(self, state: TrainState, step: int) -> Iterator[None]:
        """Saves the state before a step if something else fails that the step needs."""
        try:
            yield
        except Interrupted:
            raise
        except Exception:
            self.save(state, step)
            self.progress.message(f"saved at step {step}; run again to resume")
            raise

    def log(self, step: int) -> None:
        """Writes the mean metrics of the steps since the last call, if any."""
        if not self.metrics:
            return
        means = self.metrics.means(step)
        speed = self.progress.report(step, means.get("loss", math.nan))
        for log in self.logs:
            log.scalars(step, {**means, **speed})

    def _evaluate(
        self, state: TrainState, step: int, stop_requested: Callable[[], bool]
    ) -> dict[str, float]:
        num_images = self.task.evaluation.num_images
        # A bar on a terminal; elsewhere a line, and none to stderr, red in notebooks.
        bar = devices.is_main_process() and sys.stderr.isatty()
        if not bar:
            plural = "" if num_images == 1 else "s"
            self.progress.message(f"evaluating: {num_images} image{plural}")
        scores = self.evaluator(
            state.ema_params,
            num_images,
            stop_requested=stop_requested,
            progress="evaluating" if bar else "",
        )
        by_name = scores_by_name(scores)
        if devices.is_main_process():
            line = log_evaluation(scores, by_name, step, self.workdir, self.logs)
            self.progress.message(line)
        return by_name

    def _save(
        self, state: TrainState, step: int, scores: dict[str, float] | None
    ) -> None:
        with self.progress.paused():
            before = step in self.saved.steps()
            self.saved.save(state, step, scores, self.about)
            if before and scores and not self.saved.scores(step):
                add_scores(self.saved, step, scores)


def evaluation_is_due(task: Task, step: int) -> bool:
    """Whether a run evaluates the state before a step."""
    options = task.training
    return step % options.evaluate_every == 0 or step == options.num_steps
