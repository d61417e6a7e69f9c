"""What a training step in PyTorch spends its time on, like `benchmarks.profiles`.

oneDNN itself prints what every convolution takes, in either direction.
"""

import collections
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.profiles import (
    DEPTHWISE,
    FORWARD,
    IMAGES,
    KERNELS,
    seconds_of,
    summary,
)
from benchmarks.suite.theirs.training import Step

_PASSES = {
    "forward_training": FORWARD,
    "backward_data": IMAGES,
    "backward_weights": KERNELS,
}


def profile(step: Step, steps: int) -> dict[str, Any]:
    """Returns the milliseconds of a step by kind, and of its longest operations."""
    kinds: collections.Counter[str] = collections.Counter()
    mkldnn = torch.backends.mkldnn
    with _output() as lines, mkldnn.verbose(mkldnn.VERBOSE_ON):
        seconds = seconds_of(step, steps)
    for line in lines:
        if found := convolution(line):
            kind, milliseconds = found
            kinds[kind] += milliseconds * 1e6
    with torch.profiler.profile() as profiler:
        seconds_of(step, steps)
    operations = collections.Counter(
        {
            event.key: event.self_cpu_time_total * 1e3
            for event in profiler.key_averages()
        }
    )
    return summary(seconds, steps, kinds, operations)


def convolution(line: str) -> tuple[str, float] | None:
    """Returns the kind and milliseconds of a convolution that oneDNN reports.

    A line consists of fields such as `convolution,IMPLEMENTATION,backward_data,...,
    g64mb32_ic64oc64_ih32oh32kh7...,1.25`; only depthwise ones begin with groups.
    """
    fields = line.split(",")
    if "exec" not in fields or not {"convolution", "deconvolution"} & {*fields}:
        return None
    problem, milliseconds = fields[-2:]
    if "kh1sh" in problem:
        return None
    (kind,) = (_PASSES[field] for field in fields if field in _PASSES)
    return DEPTHWISE if problem.startswith("g") else kind, float(milliseconds)


@contextlib.contextmanager
def _output() -> Iterator[list[str]]:
    """Collects the lines that libraries print meanwhile."""
    lines: list[str] = []
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+") as file, os.fdopen(os.dup(1), "w") as before:
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            os.dup2(before.fileno(), 1)
            file.seek(0)
            lines += file.read().splitlines()
