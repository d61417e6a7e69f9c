"""The progress line of a run."""

import sys
import time


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
        self._restart(first_step)

    def _restart(self, step: int) -> None:
        self._step, self._time = step, time.perf_counter()

    def report(self, step: int, loss: float) -> float:
        """Prints the line of a step and returns the steps/s since the last report."""
        rate = (step - self._step) / (time.perf_counter() - self._time)
        minutes, seconds = divmod(round((self._num_steps - step) / rate), 60)
        line = (
            f"step {step}/{self._num_steps}  loss {loss:.4f}  {rate:.2f} steps/s  "
            f"{rate * self._batch_size:.0f} images/s  {minutes}:{seconds:02d} left"
        )
        print(f"{line:<79}", end=self._end, flush=True)
        self._restart(step)
        return rate

    def message(self, text: str, step: int) -> None:
        """Prints a line of its own, whose time does not count as training."""
        print(f"{text:<79}", flush=True)
        self._restart(step)
