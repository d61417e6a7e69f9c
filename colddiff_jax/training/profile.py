"""A trace of a few training steps."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax


@contextlib.contextmanager
def trace_steps(
    workdir: str, first_step: int, num_steps: int
) -> Iterator[Callable[[int, Any], None]]:
    """Leaves a profiler's trace of some steps in `profile` of the run folder.

    Args:
        workdir: the run folder.
        first_step: the first step to trace, after which all is compiled.
        num_steps: how many, rounded up to whole calls; 0 traces nothing.

    Yields:
        A function to call before every step with its number and the state that it
        starts from, for which the end of the trace waits.

    Reference:
        https://docs.jax.dev/en/latest/profiling.html tells how to look at it.
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
