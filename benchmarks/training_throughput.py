"""Compares the training loop with its compiled step alone, in speed and memory.

    python -m benchmarks.training_throughput cifar10.npz
    python -m benchmarks.training_throughput cifar10.npz --large_batch_size=8   on a CPU

There are three networks: the one of configs/cifar_blur.py, its variant for two CPU
cores, and a tiny one whose step takes milliseconds. The images are on the device or
streamed, and a call takes 1 or 8 steps. In each case, one run of
`train_and_evaluate`, without intermediate evaluations and checkpoints, takes turns with
its own compiled step:

* loop: the steps between two logs, with their data and the log,
* bare: the same number of steps, all on one batch that is on the device.

Each turn ends by waiting for the device. Both belong to one run because another run,
with its arrays elsewhere in memory, may be a tenth faster or slower. Since batches are
loaded during the turns of the bare step, the time that the loop waits for data is
measured separately, by waiting_for_data.py.
"""

import contextlib
import json
import os
import pathlib
import statistics
import tempfile
import time
import unittest.mock
from collections.abc import Callable, Iterator
from typing import Any

import jax
from absl import flags

from benchmarks import timing
from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.data import ImageSplits, arrays, npz
from colddiff_jax.training import loop, train_and_evaluate
from colddiff_jax.training.parallel_step import parallel_train_step
from configs import cifar_blur, digits_blur

_ROUNDS = flags.DEFINE_integer("rounds", 8, "turns of each; medians are reported", 1)
_STEPS = flags.DEFINE_integer("steps", 96, "steps between logs, and per turn", 8)
_LARGE_BATCH_SIZE = flags.DEFINE_integer(
    "large_batch_size", 0, "for the large network; 0 for its configured batch size", 0
)
_NETWORKS = flags.DEFINE_list(
    "networks", [], "networks, also part of the result's file name; empty for all"
)

NUM_IMAGES = 10_000  # Training images: enough for streaming, and quick to load.
NETWORKS = {
    "large": cifar_blur.get_config,
    "small": lambda: cifar_blur.get_config("cpu"),
    "tiny": lambda: digits_blur.get_config("smoke"),
}
DATA = {
    "resident": {},
    "streamed, threads": {"resident_mb": 0},
    "streamed, 1 process": {"resident_mb": 0, "num_workers": 1},
}


class Turns:
    """The compiled step, which takes a turn by itself before every turn of the loop.

    Args:
        steps: the compiled step.
        num_calls: the number of calls per turn.

    Attributes:
        loop: the seconds of every turn of the training loop.
        bare: the seconds of every turn of the bare step, of which there is one more.
        memory: the memory of the compiled step, from `memory`.
    """

    def __init__(self, steps: Any, num_calls: int):
        self._steps = steps
        self._num_calls = num_calls
        self._count = 0
        self._since = 0.0
        self.loop: list[float] = []
        self.bare: list[float] = []
        self.memory: dict[str, Any] = {}

    def __call__(self, state: Any, *arguments: Any) -> Any:
        if not self._count:
            self.memory = memory(self._steps, state, *arguments)
            state, _ = self._steps(state, *arguments)  # Compiles.
        if self._count % self._num_calls == 0:
            jax.block_until_ready(state)
            start = time.perf_counter()
            if self._count:
                self.loop.append(start - self._since)
            for _ in range(self._num_calls):
                state, _ = self._steps(state, *arguments)
            jax.block_until_ready(state)
            self._since = time.perf_counter()
            self.bare.append(self._since - start)
        self._count += 1
        return self._steps(state, *arguments)


def memory(steps: Any, state: Any, *arguments: Any) -> dict[str, Any]:
    """Returns the bytes of the state, and of the compiled step's buffers."""
    found = steps.lower(state, *arguments).compile().memory_analysis()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    return {
        "state": size,
        "arguments": found.argument_size_in_bytes,
        "outputs": found.output_size_in_bytes,
        "aliased": found.alias_size_in_bytes,
        "temporary": found.temp_size_in_bytes,
        "the state is updated in place": found.alias_size_in_bytes >= size,
    }


def train(
    config: Any,
    splits: ImageSplits | None,
    parallel_step: Callable[..., Any],
    num_logs: int,
    log_every: int,
) -> list[dict[str, float]]:
    """Trains with a step made by `parallel_step`, and returns the logs."""
    fields = ("num_steps", "evaluate_every", "checkpoint_every")
    config.training.update(dict.fromkeys(fields, num_logs * log_every))
    config.training.log_every = log_every
    num_devices = devices.num_devices()
    config.evaluation.update({"num_images": 1, "batch_size": num_devices})
    with (
        tempfile.TemporaryDirectory() as workdir,
        open(os.devnull, "w") as devnull,
        contextlib.redirect_stdout(devnull),
        unittest.mock.patch.object(loop, "parallel_train_step", parallel_step),
    ):
        train_and_evaluate(config, workdir, splits=splits)
        text = pathlib.Path(workdir, "metrics.jsonl").read_text()
    logs = [line for line in map(json.loads, text.splitlines()) if "loss" in line]
    if len(logs) != num_logs:
        raise SystemExit("the training was interrupted")
    return logs


def measure(
    config: Any, splits: ImageSplits | None, with_memory: bool
) -> dict[str, Any]:
    """Returns one row of the table."""
    steps = _STEPS.value
    made: list[Turns] = []

    def in_turns(step: Callable[..., Any]) -> Turns:
        num_calls = steps // config.training.steps_per_call
        made.append(Turns(parallel_train_step(step), num_calls))
        return made[0]

    train(config, splits, in_turns, _ROUNDS.value + 1, steps)
    (turns,) = made
    # The last turn of the loop is not counted: no turn of the bare step follows it.
    ratios = [
        (before + after) / 2 / loop
        for before, loop, after in zip(
            turns.bare[:-1], turns.loop, turns.bare[1:], strict=True
        )
    ]
    images = steps * config.training.batch_size
    return {
        "batch_size": config.training.batch_size,
        "images/s, bare": round(images / statistics.median(turns.bare), 2),
        "images/s, loop": round(images / statistics.median(turns.loop), 2),
        "loop / bare": round(statistics.median(ratios), 3),
        "loop / bare, all rounds": [round(ratio, 3) for ratio in ratios],
        **({"memory, bytes": turns.memory} if with_memory else {}),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    columns = ["network", "data", "steps_per_call", "batch_size"]
    columns += ["images/s, bare", "images/s, loop", "loop / bare"]
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row[column]) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cases(path: str) -> Iterator[tuple[dict[str, Any], Any, ImageSplits | None]]:
    """Yields the first cells of each row, with its configuration and images."""
    unknown = set(_NETWORKS.value) - NETWORKS.keys()
    if unknown:
        raise InputError(
            f"`networks` must be among {', '.join(NETWORKS)}, got {min(unknown)!r}"
        )
    splits = npz(path=path)
    splits = arrays(splits.train[:NUM_IMAGES], splits.test)
    for network in _NETWORKS.value or NETWORKS:
        for data, options in DATA.items():
            for steps_per_call in (1, 8):
                large = network == "large"
                if steps_per_call > 1 and "process" in data:
                    continue
                config = NETWORKS[network]()
                if large and _LARGE_BATCH_SIZE.value:
                    config.training.batch_size = _LARGE_BATCH_SIZE.value
                # An evaluation takes 2 T network calls and is not measured.
                config.degradation.stds.num_steps = 2
                config.training.update({"steps_per_call": steps_per_call, **options})
                cells = {
                    "network": network,
                    "data": data,
                    "steps_per_call": steps_per_call,
                }
                yield cells, config, None if network == "tiny" else splits
                jax.clear_caches()  # Compiled programs take gigabytes.


def main(path: str) -> None:
    """Measures and prints all rows, and writes the results."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as cache:
        # Reading the memory of a program compiles it again, from this cache.
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        for cells, config, splits in cases(path):
            with_memory = cells["data"] == "resident" and cells["steps_per_call"] == 1
            rows.append(cells | measure(config, splits, with_memory))
            print(json.dumps(rows[-1]), flush=True)
    timing.write("_".join(["training_throughput", *_NETWORKS.value]), {"rows": rows})
    print(table(rows))


if __name__ == "__main__":
    program.run(main, num_arguments=1)
