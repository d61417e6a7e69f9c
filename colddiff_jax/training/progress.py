"""The progress line of a run."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Progress:
    """Prints steps/s, images/s, the loss and the time left.

    On a terminal the line rewrites itself; in a file each report is a line.

    Args:
        first_step: the step the run starts or resumes at.
        num_steps: the last one.
        batch_size: images per step.
    """

    def __init__(self, first_step: int, num_steps: int, batch_size: int):
        self._num_steps = num_steps
        self._batch_size = batch_size
        self._end = "\r" if sys.stdout.isatty() else "\n"
        self._step, self._time = first_step, time.perf_counter()

    def report(self, step: int, loss: float) -> float:
        """Prints the line of a step and returns the steps/s since the last report."""
        now = time.perf_counter()
        rate = (step - self._step) / (now - self._time)
        self._step, self._time = step, now
        minutes, seconds = divmod(round((self._num_steps - step) / rate), 60)
        line = (
            f"step {step}/{self._num_steps}  loss {loss:.4f}  {rate:.2f} steps/s  "
            f"{rate * self._batch_size:.0f} images/s  {minutes}:{seconds:02d} left"
        )
        print(f"{line:<79}", end=self._end, flush=True)
        return rate

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the time of an evaluation or a checkpoint off the clock."""
        start = time.perf_counter()
        yield
        self._time += time.perf_counter() - start

    def message(self, text: str) -> None:
        """Prints a line of its own."""
        print(f"{text:<79}", flush=True)
