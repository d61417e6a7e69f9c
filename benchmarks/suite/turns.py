"""Alternating measurements of calls that may be very short."""

import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from benchmarks import timing

LEAST_SECONDS = 0.1


def ratio(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    over: str = "ours",
) -> dict[str, Any]:
    """Returns `timing.ratio` per call, with turns of at least `LEAST_SECONDS`.

    A short call is repeated within its turn: the threads of the function before it are
    still busy for milliseconds, waiting for more work.
    """
    counts = {
        name: max(1, math.ceil(LEAST_SECONDS / _seconds(function)))
        for name, function in functions.items()
    }
    row = timing.ratio(
        {
            name: functools.partial(_repeat, function, counts[name])
            for name, function in functions.items()
        },
        rounds,
        over=over,
    )
    seconds = {
        name: float(f"{value / counts[name]:.4g}")
        for name, value in row["seconds"].items()
    }
    ratios = {}
    for name, found in row[f"over {over}"].items():
        factor = counts[over] / counts[name]
        ratios[name] = {
            "median": _round(found["median"] * factor),
            "range": [_round(value * factor) for value in found["range"]],
        }
    return {"seconds": seconds, f"over {over}": ratios}


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _repeat(function: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        jax.block_until_ready(function())


def _seconds(function: Callable[[], Any]) -> float:
    """Returns the seconds of a call after one that compiles."""
    _repeat(function, 1)
    start = time.perf_counter()
    _repeat(function, 1)
    return time.perf_counter() - start
