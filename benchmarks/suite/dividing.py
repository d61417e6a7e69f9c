"""A training step divided over virtual devices, which share the cores of this machine.

They cannot be faster than one device: they show what dividing a step costs, in seconds
and in the memory that every device reserves. The step is that of the small network,
with its degradation and moving average, and its batch is the same for all.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks import timing
from benchmarks.suite import Form, whole_step


class Sizes(NamedTuple):
    rounds: int
    devices: Sequence[int]


SIZES = {
    "smoke": Sizes(1, (2,)),
    "short": Sizes(3, (1, 2)),
    "full": Sizes(7, (1, 2, 4, 8)),
}


def measure(form: Form) -> dict[str, Any]:
    """Measures a step with every number of devices, each in a process of its own."""
    sizes = SIZES[form]
    with contextlib.ExitStack() as stack:
        memory: dict[str, float] = {}
        calls: dict[str, Callable[[], None]] = {}
        for number in sizes.devices:
            process = stack.enter_context(_process(form, number))
            memory[str(number)] = json.loads(_line(process))["temporary MB"]
            calls[str(number)] = functools.partial(_ask, process)
        row = timing.ratio(calls, sizes.rounds, over=str(sizes.devices[0]))
    row["seconds"] = {
        number: round(seconds / whole_step.STEPS, 5)
        for number, seconds in row["seconds"].items()
    }
    return {"training step against virtual devices": {"temporary MB": memory} | row}


@contextlib.contextmanager
def _process(form: Form, number: int) -> Iterator[subprocess.Popen]:
    """Starts `whole_step` with virtual devices, which ends with its input."""
    flags = f"--xla_force_host_platform_device_count={number}"
    environment = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}"}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.suite.whole_step", form],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def _ask(process: subprocess.Popen) -> None:
    """Lets the process take its steps, and waits for its answer."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    _line(process)


def _line(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the process has ended with {process.wait()}")
    return line
