"""Measures everything at once, and prints and writes the results.

    pip install -e '.[benchmarks]' torch
    python -m benchmarks                             a quarter of an hour on two cores
    python -m benchmarks --form=full
    python -m benchmarks --only=degrading,training

Every figure compares functions that take turns in one run; without PyTorch, what is
compared with it is left out. All of it runs on the CPU. The results are written to
results/suite_FORM.json, or with --only to --out alone.
"""

import argparse
import json
import pathlib
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax

from benchmarks import timing
from benchmarks.suite import (
    FORMS,
    degrading,
    dividing,
    evaluating,
    loading,
    loop,
    sampling,
    scaling,
    stacking,
    starting,
    table,
    training,
)
from benchmarks.suite.optional import theirs
from colddiff_jax.io.atomic import write_atomically

PARTS: list[ModuleType] = [
    degrading,
    training,
    loop,
    sampling,
    evaluating,
    loading,
    starting,
    stacking,
    scaling,
    dividing,
]
NAMES = [part.__name__.rpartition(".")[2] for part in PARTS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the parts that the command line selects."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--form", choices=FORMS, default="short")
    parser.add_argument("--only", default=",".join(NAMES), metavar="PART,...")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write")
    given = parser.parse_args(arguments)
    chosen = given.only.split(",")
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"--only must be among {', '.join(NAMES)}, got {min(unknown)!r}")
    path = given.out
    if path is None and len(chosen) == len(NAMES):
        path = timing.RESULTS / f"suite_{given.form}.json"
    results: dict[str, Any] = {
        **timing.provenance(),
        "form": given.form,
        "with PyTorch": theirs is not None,
        "parts": {},
    }
    facts = [f"{key}: {value}" for key, value in results.items() if key != "parts"]
    print("; ".join(facts), flush=True)
    if theirs is None:
        print("PyTorch is not installed: nothing is compared with it")
    for name, part in zip(NAMES, PARTS, strict=True):
        if name not in chosen:
            continue
        start = time.perf_counter()
        rows = part.measure(given.form)
        seconds = round(time.perf_counter() - start, 1)
        print(table.text(f"{name} ({seconds} s)", rows), flush=True)
        results["parts"][name] = {"seconds of this part": seconds, "rows": rows}
        jax.clear_caches()  # Compiled programs take gigabytes.
        if path:  # After every part: what is measured is not lost.
            text = json.dumps(results, indent=2) + "\n"
            write_atomically(str(path), text.encode())


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    main()
