"""Seconds from a command to its first result, with an empty and a filled cache.

The programs are started as users start them. A training run is timed until the metrics
of its first step are in `metrics.jsonl`, after the first evaluation; sampling until the
program ends. `cold` starts with an empty folder of compiled programs, and `ours` with
the programs of an earlier start. Every `--help` is compared with `import jax`.
"""

import functools
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import timing
from benchmarks.suite import Form
from benchmarks.suite.optional import theirs

ROOT = pathlib.Path(__file__).parent.parent.parent


class Sizes(NamedTuple):
    variant: str  # Of configs/digits_blur.py.
    rounds: int
    programs: tuple[str, ...]  # Whose --help is timed.


PROGRAMS = ("train.py", "sample.py", "evaluate.py")
SIZES = {
    "smoke": Sizes(":smoke", 1, ("train.py",)),
    "short": Sizes("", 1, PROGRAMS),
    "full": Sizes("", 5, PROGRAMS),
}


def measure(form: Form) -> dict[str, Any]:
    """Measures --help, the first step of training, and the first restored image."""
    sizes = SIZES[form]
    rows = {"--help": _help(sizes)}
    if form == "smoke":
        return rows
    with tempfile.TemporaryDirectory() as folder:
        return rows | _first_results(sizes, pathlib.Path(folder))


def _help(sizes: Sizes) -> dict[str, Any]:
    calls: dict[str, Callable] = {"import jax": _python("-c", "import jax")}
    for program in sizes.programs:
        calls[f"{program} --help"] = _python(program, "--help")
    if theirs:
        calls["import torch"] = _python("-c", "import torch")
    return timing.ratio(calls, sizes.rounds, over="import jax")


def _first_results(sizes: Sizes, folder: pathlib.Path) -> dict[str, Any]:
    """Returns the rows of training and sampling; every run has a folder of its own."""
    numbers = itertools.count()
    warm = folder / "programs"
    config = f"--config=configs/digits_blur.py{sizes.variant}"

    def fresh() -> pathlib.Path:
        return folder / str(next(numbers))

    def train(cache: pathlib.Path | None, *, complete: bool = False) -> pathlib.Path:
        workdir = fresh()
        arguments = [config, f"--workdir={workdir}", "--config.training.num_steps=1"]
        process = _start("train.py", *arguments, cache=cache or fresh())
        if complete:
            _finish(process)
        else:
            _wait_for_first_step(process, workdir / "metrics.jsonl")
        return workdir

    def sample(cache: pathlib.Path | None) -> None:
        arguments = [f"--workdir={run}", f"--out={fresh()}"]
        _finish(_start("sample.py", *arguments, cache=cache or fresh()))

    run = train(warm, complete=True)
    rows = {}
    for name, call in (("first training step", train), ("first samples", sample)):
        calls: dict[str, Callable] = {
            "ours": functools.partial(call, warm),
            "cold": functools.partial(call, None),
        }
        rows[name] = timing.ratio(calls, sizes.rounds, over="ours")
    return rows


def _python(*arguments: str) -> Callable[[], None]:
    """Returns a call that runs Python with these arguments until it ends."""
    return lambda: _finish(_start(*arguments, cache=None))


def _start(*arguments: str, cache: pathlib.Path | None) -> subprocess.Popen:
    """Starts Python in the root of the project, with a folder of compiled programs."""
    environment = {"JAX_COMPILATION_CACHE_DIR": str(cache)} if cache else {}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(process: subprocess.Popen) -> None:
    """Waits for the end of a program; raises with its output if it failed."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(output)


def _wait_for_first_step(process: subprocess.Popen, path: pathlib.Path) -> None:
    """Waits for the first training loss in a file of metrics, and ends the program."""
    while not _has_loss(path):
        if process.poll() is not None and not _has_loss(path):
            raise RuntimeError(process.communicate()[0])
        time.sleep(0.02)
    process.kill()
    process.communicate()


def _has_loss(path: pathlib.Path) -> bool:
    """Whether a file of metrics has a complete line with a training loss."""
    text = path.read_text() if path.exists() else ""
    complete = text.split("\n")[:-1]
    return any("loss" in json.loads(line) for line in complete)
