"""Images per second of the whole training loop.

Ours are the steps of one run of `train_and_evaluate`, with loading, degradation, loss,
gradient, Adam, moving average and logs. The run waits between its turns. PyTorch's loop
does the same work with a DataLoader over the same images, and degrades by single steps,
as in the official code, or by our closed form.
"""

import concurrent.futures
import contextlib
import functools
import os
import tempfile
import threading
import unittest.mock
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import timing
from benchmarks.single_steps import gaussian_kernels
from benchmarks.suite import Form, small
from benchmarks.suite.optional import theirs
from colddiff_jax import devices
from colddiff_jax.training import loop, train_and_evaluate
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.step import TrainStep


class Sizes(NamedTuple):
    steps: int  # Per turn.
    rounds: int


SIZES = {"smoke": Sizes(2, 1), "short": Sizes(8, 4), "full": Sizes(48, 9)}


def measure(form: Form) -> dict[str, Any]:
    """Measures the loop with the small network."""
    sizes, net = SIZES[form], small.build(form)
    batch_size = net.task.training.batch_size
    pytorch: dict[str, Callable] = {
        name: functools.partial(take, sizes.steps) for name, take in _loops(net).items()
    }
    row = _in_turns(small.configuration(form), pytorch, sizes)
    rates = {
        name: round(sizes.steps * batch_size / seconds, 1)
        for name, seconds in row["seconds"].items()
    }
    facts = {"batch": batch_size, "steps per turn": sizes.steps}
    return {"small network": facts | {"images per second": rates} | row}


class Handed:
    """The compiled step of a run in the main thread, which waits for its turns.

    Args:
        per_turn: the number of calls per turn.
    """

    def __init__(self, per_turn: int):
        self._per_turn, self._taken, self._ended = per_turn, 0, False
        self._begin, self._done = threading.Semaphore(0), threading.Semaphore(0)

    def take(self, train_step: TrainStep) -> Callable[..., Any]:
        """Returns what the run calls in place of its parallel step."""
        steps = parallel_train_step(train_step)

        def call(*arguments: Any) -> Any:
            if self._taken % self._per_turn == 0:
                self._wait(self._begin)
            self._taken += 1
            result = steps(*arguments)
            if self._taken % self._per_turn == 0:
                jax.block_until_ready(result)
                self._done.release()
            return result

        return call

    def turn(self) -> None:
        """Lets the run take its next steps; called by another thread, which waits."""
        self._begin.release()
        self._wait(self._done)

    def end(self) -> None:
        """Ends all waiting: one of the threads has ended."""
        self._ended = True
        self._begin.release()
        self._done.release()

    def _wait(self, semaphore: threading.Semaphore) -> None:
        semaphore.acquire()
        if self._ended:
            raise RuntimeError("the other thread has ended")


def _in_turns(config: Any, pytorch: dict[str, Callable], sizes: Sizes) -> Any:
    """Trains in this thread, in turns with PyTorch in another."""
    num_steps = sizes.steps * (sizes.rounds + 1)
    fields = ("num_steps", "evaluate_every", "checkpoint_every")
    config.training.update(dict.fromkeys(fields, num_steps))
    config.training.log_every = sizes.steps
    config.evaluation.update({"num_images": 1, "batch_size": devices.num_devices()})
    handed = Handed(sizes.steps)

    def measured() -> dict[str, Any]:
        try:
            calls = {"ours": handed.turn, **pytorch}
            return timing.ratio(calls, sizes.rounds, over="ours")
        finally:
            handed.end()

    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        tempfile.TemporaryDirectory() as workdir,
        open(os.devnull, "w") as devnull,
        contextlib.redirect_stdout(devnull),
        unittest.mock.patch.object(loop, "parallel_train_step", handed.take),
    ):
        row = pool.submit(measured)
        try:
            train_and_evaluate(config, workdir, splits=small.enlarged_digits())
        finally:
            handed.end()
        return row.result()


def _loops(net: small.Small) -> dict[str, Callable[[int], float]]:
    """Returns PyTorch's loops, in its usual and in its fastest form."""
    if not theirs:
        return {}
    scales, fields = net.scales, net.model.config["model"]
    kernels = gaussian_kernels(np.full(small.T, small.STD), small.KERNEL)
    steps = theirs.degrading.blurs(kernels, 1, "circular")
    closed = theirs.degrading.Products(net.operators)
    single = functools.partial(theirs.degrading.at_random_steps, steps)
    return {
        f"PyTorch, {name}, {layout}": theirs.training.Loop(
            theirs.networks.SmallUNet(fields, 1, scales, net.state.params),
            net.images,
            degrade,
            small.T,
            net.task.training.batch_size,
            layout,
            whole=whole,
        )
        for layout in theirs.networks.LAYOUTS
        for name, degrade, whole in (
            ("single steps, images one by one", single, False),
            ("closed form, whole batches", closed, True),
        )
    }
