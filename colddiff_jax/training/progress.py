"""The progress line of a run."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Progress:
    """Prints the loss, steps/s, images/s, time left and time spent waiting for data.

    On a terminal, the line is overwritten; in a file, each report is a new line.

    Args:
        first_step: the step the run starts or resumes at.
        num_steps: the step the run ends at.
        batch_size: images per step.
        quiet: whether to print nothing, as in all processes of a run but one.
    """

    def __init__(
        self, first_step: int, num_steps: int, batch_size: int, *, quiet: bool = False
    ):
        self._quiet = quiet
        self._num_steps = num_steps
        self._batch_size = batch_size
        self._end = "\r" if sys.stdout.isatty() else "\n"
        self._step, self._time = first_step, time.perf_counter()
        self._waited = 0.0

    def report(self, step: int, loss: float) -> dict[str, float]:
        """Prints the line of a step.

        Returns:
            "steps_per_second" and "waiting_for_data", the fraction of the time spent
            waiting, since the last report.
        """
        now = time.perf_counter()
        rate = (step - self._step) / (now - self._time)
        waiting = self._waited / (now - self._time)
        self._step, self._time, self._waited = step, now, 0.0
        minutes, seconds = divmod(round((self._num_steps - step) / rate), 60)
        line = (
            f"step {step}/{self._num_steps}  loss {loss:.4f}  {rate:.2f} steps/s  "
            f"{rate * self._batch_size:.0f} images/s  {minutes}:{seconds:02d} left  "
            f"data {waiting:.0%}"
        )
        if not self._quiet:
            print(f"{line:<85}", end=self._end, flush=True)
        return {"steps_per_second": rate, "waiting_for_data": waiting}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time as spent waiting for data."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock during an evaluation or a checkpoint."""
        start = time.perf_counter()
        yield
        self._time += time.perf_counter() - start

    def message(self, text: str) -> None:
        """Prints a separate line."""
        if not self._quiet:
            print(f"{text:<85}", flush=True)
