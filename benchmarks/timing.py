"""Side-by-side timing, and result files that record their command and machine."""

import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
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
    turns = take_turns(functions, rounds)
    return {name: statistics.median(values) for name, values in turns.items()}


def ratio(
    functions: Mapping[str, Callable[[], Any]], rounds: int, *, over: str
) -> dict[str, Any]:
    """Returns median seconds, and each function's ratio to the one named `over`.

    The functions take turns. A ratio is the median of the ratios within each round, so
    that a machine whose speed drifts does not change it; the lowest and highest ratio
    say how well it is known.
    """
    turns = take_turns(functions, rounds)
    ratios = {
        name: [own / other for own, other in zip(turns[name], turns[over], strict=True)]
        for name in functions
        if name != over
    }
    return {
        "seconds": {
            name: round(statistics.median(values), 5) for name, values in turns.items()
        },
        f"over {over}": {
            name: {
                "median": round(statistics.median(values), 3),
                "range": [round(min(values), 3), round(max(values), 3)],
            }
            for name, values in ratios.items()
        },
    }


def take_turns(
    functions: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
    """Returns the seconds of every call of functions that take turns.

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
    return seconds


def machine() -> str:
    """Describes the machine that the benchmark runs on."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} x {device.device_kind}"
    return f"{os.cpu_count()} CPU cores ({_processor() or platform.machine()})"


def _processor() -> str | None:
    path = pathlib.Path("/proc/cpuinfo")
    found = path.exists() and re.search(r"model name\s*: (.+)", path.read_text())
    return found[1] if found else None


def provenance() -> dict[str, Any]:
    """Returns the command, machine, versions and commit that a result depends on."""
    names = ("jax", "jaxlib", "flax", "torch")
    return {
        "command": command(),
        "machine": machine(),
        "python": platform.python_version(),
        **{name: _version(name) for name in names if _version(name)},
        "commit": commit(),
    }


def command() -> str:
    """Returns the command line of this program, as a user types it."""
    program = pathlib.Path(sys.argv[0])
    module = (
        "benchmarks" if program.stem == "__main__" else f"benchmarks.{program.stem}"
    )
    return " ".join(["python", "-m", module, *sys.argv[1:]])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Returns the commit of this checkout, marked if files differ from it."""
    if not shutil.which("git"):
        return None
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
    )
    return described.stdout.strip() or None


def write(name: str, results: dict[str, Any]) -> None:
    """Writes results/NAME.json and prints it."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**provenance(), **results}, indent=2) + "\n"
    path.write_text(text)
    print(text)
