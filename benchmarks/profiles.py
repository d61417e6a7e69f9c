"""What a training step spends its time on; `theirs.profiling` does PyTorch's.

Convolutions larger than 1 x 1 are added up by kind; everything else is the rest of the
step's time. The operations come from the profiler of XLA. Where several run at once,
each is given its share of that time.
"""

import collections
import pathlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from benchmarks.suite.network_step import NetworkStep

LONGEST = 12  # Operations listed.
FORWARD, IMAGES, KERNELS, DEPTHWISE = KINDS = (
    "convolutions, forward",
    "convolutions, gradients of images",
    "convolutions, gradients of kernels",
    "depthwise convolutions",
)
Event = tuple[float, float, str]
"""Start and end in nanoseconds, and what ran."""


def of_ours(step: NetworkStep, steps: int) -> dict[str, Any]:
    """Returns the milliseconds of a step by kind, and of its longest operations."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            seconds = seconds_of(step, steps)
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        spent = _shared([*_events(path, step.program.as_text())])
    kinds: collections.Counter[str] = collections.Counter()
    operations: collections.Counter[str] = collections.Counter()
    for name, nanoseconds in spent.items():
        operations[_operation(name)] += nanoseconds
        if kind := kind_of(name):
            kinds[kind] += nanoseconds
    return summary(seconds, steps, kinds, operations)


def kind_of(op_name: str) -> str | None:
    """Returns the kind of an operation of ours, by its place in the program."""
    if "/depthwise/" in op_name:
        return DEPTHWISE
    if not op_name.endswith("/conv_general_dilated"):
        return None
    if "transpose(jvp" not in op_name:
        return FORWARD
    # The gradient of a kernel is a sum over slices, in a loop.
    return KERNELS if "/while/" in op_name else IMAGES


def seconds_of(step: Callable[[], Any], steps: int) -> float:
    """Returns the seconds of some steps."""
    start = time.perf_counter()
    for _ in range(steps):
        jax.block_until_ready(step())
    return time.perf_counter() - start


def summary(
    seconds: float,
    steps: int,
    kinds: collections.Counter[str],
    operations: collections.Counter[str],
) -> dict[str, Any]:
    """Returns milliseconds of a step; what was counted is in nanoseconds."""
    found = {kind: kinds[kind] / steps / 1e6 for kind in KINDS if kinds[kind]}
    found["everything else"] = seconds / steps * 1e3 - sum(found.values())
    longest = {
        name: round(nanoseconds / steps / 1e6, 1)
        for name, nanoseconds in operations.most_common(LONGEST)
    }
    return {
        "kinds": {kind: round(value, 1) for kind, value in found.items()},
        "longest operations": longest,
    }


def _events(path: pathlib.Path, program: str) -> Iterator[Event]:
    """Yields the operations of a compiled program from its trace."""
    names = dict(re.findall(r'%([\w.\-]+) = .*op_name="([^"]*)"', program))
    known = set(re.findall(r"%([\w.\-]+) = ", program))
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                # Loops and branches consist of other events.
                if event.name in known and not re.match("while|call|cond", event.name):
                    start, name = event.start_ns, names.get(event.name, event.name)
                    yield start, start + event.duration_ns, name


def _shared(events: list[Event]) -> collections.Counter[str]:
    """Returns the time of operations; those that run at once divide it equally."""
    edges = [(start, 1, name) for start, _, name in events]
    edges += [(end, -1, name) for _, end, name in events]
    running: collections.Counter[str] = collections.Counter()
    spent: collections.Counter[str] = collections.Counter()
    before = 0.0
    for now, change, name in sorted(edges):
        for other, count in (+running).items():
            spent[other] += (now - before) * count / running.total()
        running[name] += change
        before = now
    return spent


def _operation(op_name: str) -> str:
    """Returns the layer and primitive of an operation, without numbers."""
    return re.sub(r"[_.]*\d+", "", "/".join(op_name.split("/")[-2:]))
