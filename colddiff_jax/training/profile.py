"""Profiles a few training steps."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax


@contextlib.contextmanager
def trace_steps(
    workdir: str, first_step: int, num_steps: int
) -> Iterator[Callable[[int, Any], None]]:
    """Writes a profiler trace of some steps to `profile` in the run folder.

    Args:
        workdir: the run folder.
        first_step: the first step to trace; by then everything must be compiled.
        num_steps: the number of steps, rounded up to whole calls; 0 for no trace.

    Yields:
        A function to call before every step, with its index and the state before it.
        The trace ends once that state is computed.

    Reference:
        How to view a trace: https://docs.jax.dev/en/latest/profiling.html
    """
    started: int | None = None
    done = num_steps == 0

    def at(step: int, state: Any) -> None:
        nonlocal started, done
        if done or step < first_step:
            return
        if started is None:
            started = step
            jax.profiler.start_trace(os.path.join(workdir, "profile"))
        elif step >= started + num_steps:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            done = True

    try:
        yield at
    finally:
        if started is not None and not done:
            jax.profiler.stop_trace()
