"""What a run says while it trains: a line with its speed, and messages."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from shutil import get_terminal_size
from time import perf_counter
from typing import Any

import jax
from tqdm import tqdm

from colddiff_jax import devices
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.task import Task


class Progress:
    """Prints the loss, steps/s, images/s, time left and time spent waiting for data.

    On a terminal, the line is overwritten; in a file, each report is a new line. The
    clock runs from `start` on, so that compilation does not count as training.

    Args:
        num_steps: the step the run ends at.
        batch_size: images per step.
        quiet: whether to print nothing, as in all processes of a run but one.
    """

    def __init__(self, num_steps: int, batch_size: int, *, quiet: bool = False):
        self._quiet = quiet
        self._num_steps = num_steps
        self._batch_size = batch_size
        self._on_terminal = sys.stdout.isatty()
        self.start(0)

    def start(self, step: int) -> None:
        """Starts the clock at a step."""
        self._step, self._time = step, perf_counter()
        self._waited = 0.0

    def report(self, step: int, loss: float) -> dict[str, float]:
        """Prints the line of a step.

        Returns:
            "steps_per_second" and "waiting_for_data", the fraction of the time spent
            waiting, since the last report or start; nothing if there was no step.
        """
        now = perf_counter()
        taken, seconds = step - self._step, now - self._time
        speed: dict[str, float] = {}
        line = f"step {step}/{self._num_steps}  loss {loss:.4f}"
        if taken:
            rate, waiting = taken / seconds, self._waited / seconds
            speed = {"steps_per_second": rate, "waiting_for_data": waiting}
            left = tqdm.format_interval((self._num_steps - step) / rate)
            line += (
                f"  {rate:.2f} steps/s  {rate * self._batch_size:.0f} images/s  "
                f"{left} left  data {waiting:.0%}"
            )
        self.start(step)
        self._print(line, passing=True)
        return speed

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time as spent waiting for data."""
        start = perf_counter()
        yield
        self._waited += perf_counter() - start

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock during an evaluation or a checkpoint."""
        start = perf_counter()
        if self._on_terminal:
            self._print("", passing=True)  # Makes room for a progress bar.
        yield
        self._time += perf_counter() - start

    def message(self, text: str) -> None:
        """Prints a line that stays."""
        self._print(text)

    def _print(self, text: str, *, passing: bool = False) -> None:
        """Prints a line, which on a terminal replaces a passing one."""
        if self._quiet:
            return
        if not self._on_terminal:
            print(text, flush=True)
            return
        if passing:  # A line that wraps cannot be overwritten.
            text = text[: get_terminal_size().columns - 1]
        # Erases what is left of a longer line.
        print(f"\r{text}\x1b[K", end="" if passing else "\n", flush=True)


def first_lines(
    workdir: str,
    state: TrainState,
    first_step: int,
    task: Task,
    config: Mapping[str, Any],
) -> list[str]:
    """Returns what a run says about itself before its first step."""
    num_steps = task.training.num_steps
    lines = [
        _greeting(workdir, state, first_step),
        _about_test_images(task, config["evaluation"]["num_images"]),
        _about_warmup(config["optimizer"]["warmup_steps"], num_steps),
    ]
    return [line for line in lines if line]


def _greeting(workdir: str, state: TrainState, first_step: int) -> str:
    """Says what begins, where, and on how many devices."""
    num_parameters = sum(x.size for x in jax.tree.leaves(state.params))
    return (
        f"{workdir}: {num_parameters:,} parameters, {devices.num_devices()} "
        f"{jax.default_backend()} device(s), "
        f"{'resuming at' if first_step else 'starting at'} step {first_step}"
    )


def _about_test_images(task: Task, asked: int) -> str:
    """Says how many images are put aside for testing, and how many are scored."""
    available, scored = len(task.data.splits.test), task.evaluation.num_images
    aside = f"{available:,} test image{' is' if available == 1 else 's are'} put aside"
    fewer = f" instead of evaluation.num_images = {asked:,}" if scored < asked else ""
    return f"{aside}; evaluations score {scored:,}{fewer}"


def _about_warmup(warmup_steps: int, num_steps: int) -> str:
    """Says that a training ends before its learning rate has risen; else nothing."""
    if warmup_steps <= num_steps:
        return ""
    return (
        f"the learning rate reaches {num_steps / warmup_steps:.0%} of its peak: "
        f"optimizer.warmup_steps = {warmup_steps:,} are more than training.num_steps "
        f"= {num_steps:,}; set fewer"
    )
