"""Side-by-side timing, and result files that record their command and machine."""

import json
import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

RESULTS = pathlib.Path(__file__).parent / "results"


def compare(
    functions: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, float]:
    """Returns the median seconds per call of functions that take turns.

    Each function is first called once, to compile.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> str:
    """Describes the machine that the benchmark runs on."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return f"{jax.device_count()} x {device.device_kind}"


def write(name: str, results: dict[str, Any]) -> None:
    """Writes results/NAME.json and prints it."""
    program = pathlib.Path(sys.argv[0]).name
    record = {
        "command": " ".join(["python", f"benchmarks/{program}", *sys.argv[1:]]),
        "machine": machine(),
        "jax": jax.__version__,
        **results,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=2) + "\n"
    path.write_text(text)
    print(text)
