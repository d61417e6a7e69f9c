"""The training loop is as fast as its bare compiled step, and updates in place.

    python benchmarks/training_throughput.py cifar10.npz
    python benchmarks/training_throughput.py cifar10.npz --large_batch_size=8   on a CPU

Three networks: that of configs/cifar_blur.py, its small one for two CPU cores, and a
tiny one whose step takes milliseconds. For each, with images that are on the device or
streamed and with 1 or 8 (on a CPU 2) steps per call, measured in turn in one process:

* bare: the compiled step called again and again on one batch that is on the device,
* loop: steps per second as `train_and_evaluate` itself logs them, from the second log
  on, without evaluations and checkpoints.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

import jax
import timing
from absl import flags

from colddiff_jax import parallel, programs
from colddiff_jax.data import ImageSplits, arrays, npz
from colddiff_jax.errors import InputError
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.draws import stream
from colddiff_jax.training.experiment import build_experiment
from colddiff_jax.training.feed import open_feed
from configs import cifar_blur, digits_blur

_ROUNDS = flags.DEFINE_integer("rounds", 3, "measurements, of which the median", 1)
_SECONDS = flags.DEFINE_float("seconds", 10, "that each measurement takes at least")
_LARGE_BATCH_SIZE = flags.DEFINE_integer(
    "large_batch_size", 0, "of the large network; 0 for that of its configuration", 0
)
_NETWORKS = flags.DEFINE_list("networks", [], "which; all of them if empty")

NUM_IMAGES = 10_000  # Training images: enough to stream, and quick to load.
LOG_EVERY = 96  # About as in configs/, and a multiple of the steps per call.
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


class Bare:
    """The compiled step of a configuration and a batch that stays on the device."""

    def __init__(self, config: Any, splits: ImageSplits | None):
        experiment = build_experiment(config, splits=splits)
        # One batch needs no process to load more.
        options = dataclasses.replace(experiment.training, num_workers=0)
        experiment = dataclasses.replace(experiment, training=options)
        self._steps = parallel.parallel_train_step(experiment.train_step())
        self._state = experiment.start()
        with open_feed(experiment, 0) as feed:
            self._arguments = (
                feed.resident,
                next(feed.batches),
                parallel.replicate(experiment.degrade),
                parallel.replicate(stream(experiment.seed, "train")),
            )
        self._per_call = options.steps_per_call
        start = time.perf_counter()
        self.rate(1)
        self.seconds_to_compile = time.perf_counter() - start

    def rate(self, num_steps: int) -> float:
        """Steps per second."""
        num_calls = -(-num_steps // self._per_call)
        start = time.perf_counter()
        for _ in range(num_calls):
            self._state, _ = self._steps(self._state, *self._arguments)
        jax.block_until_ready(self._state)
        return num_calls * self._per_call / (time.perf_counter() - start)

    def memory(self) -> dict[str, Any]:
        """Bytes of the state, and of what the compiled step takes and needs."""
        compiled = self._steps.lower(self._state, *self._arguments).compile()
        found = compiled.memory_analysis()
        state = sum(leaf.nbytes for leaf in jax.tree.leaves(self._state))
        return {
            "state": state,
            "arguments": found.argument_size_in_bytes,
            "outputs": found.output_size_in_bytes,
            "aliased": found.alias_size_in_bytes,
            "temporary": found.temp_size_in_bytes,
            "the state is updated in place": found.alias_size_in_bytes >= state,
        }


def loop_rate(
    config: Any, splits: ImageSplits | None, log_every: int, num_logs: int
) -> tuple[float, float]:
    """Steps per second of the whole loop, and its share of waiting for data."""
    num_steps = (1 + num_logs) * log_every
    config.training.update(_looks(num_steps) | {"log_every": log_every})
    devices = parallel.num_devices()
    config.evaluation.update({"num_images": 1, "batch_size": devices})
    with (
        tempfile.TemporaryDirectory() as workdir,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        train_and_evaluate(config, workdir, splits=splits)
        text = pathlib.Path(workdir, "metrics.jsonl").read_text()
    logs = [line for line in map(json.loads, text.splitlines()) if "loss" in line]
    if len(logs) != 1 + num_logs:
        raise SystemExit("interrupted")
    seconds = [log_every / line["steps_per_second"] for line in logs[1:]]
    waited = sum(
        line["waiting_for_data"] * spent
        for line, spent in zip(logs[1:], seconds, strict=True)
    )
    return num_logs * log_every / sum(seconds), waited / sum(seconds)


def _looks(num_steps: int) -> dict[str, int]:
    names = ("num_steps", "log_every", "evaluate_every", "checkpoint_every")
    return dict.fromkeys(names, num_steps)


def measure(
    config: Any, splits: ImageSplits | None, with_memory: bool
) -> dict[str, Any]:
    """One row of the table."""
    per_call = config.training.steps_per_call
    bare = Bare(config, splits)
    memory = {"memory, bytes": bare.memory()} if with_memory else {}
    guess = _SECONDS.value * bare.rate(4 * per_call)  # Steps.
    log_every = per_call * max(1, min(LOG_EVERY, int(guess)) // per_call)
    num_logs = max(2, round(guess / log_every))
    bare_rates, loop_rates, waits = [bare.rate(log_every * num_logs)], [], []
    for _ in range(_ROUNDS.value):
        rate, waited = loop_rate(config, splits, log_every, num_logs)
        loop_rates.append(rate)
        waits.append(waited)
        bare_rates.append(bare.rate(log_every * num_logs))
    # Each loop against the bare steps just before and after it.
    ratios = [
        2 * rate / (bare_rates[i] + bare_rates[i + 1])
        for i, rate in enumerate(loop_rates)
    ]
    batch_size = config.training.batch_size
    return {
        "batch_size": batch_size,
        "log_every": log_every,
        "seconds to compile": round(bare.seconds_to_compile, 1),
        "images/s, bare": round(statistics.median(bare_rates) * batch_size, 2),
        "images/s, loop": round(statistics.median(loop_rates) * batch_size, 2),
        "loop / bare": round(statistics.median(ratios), 3),
        "loop / bare, all rounds": [round(ratio, 3) for ratio in ratios],
        "waiting for data": round(statistics.median(waits), 3),
        **memory,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    columns = ["network", "data", "steps_per_call", "batch_size"]
    columns += ["images/s, bare", "images/s, loop", "loop / bare", "waiting for data"]
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row[column]) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: list[str]) -> None:
    """Measures all rows, prints them and writes the results."""
    if len(argv) != 2:
        raise InputError("name an npz file of images, such as cifar10.npz")
    unknown = set(_NETWORKS.value) - NETWORKS.keys()
    if unknown:
        raise InputError(f"no network {min(unknown)!r}; there are {list(NETWORKS)}")
    splits = npz(path=argv[1])
    splits = arrays(splits.train[:NUM_IMAGES], splits.test)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as cache:
        # The loop compiles anew in every round.
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        # On a CPU steps are written out one after the other, and compile for minutes.
        many = 2 if jax.default_backend() == "cpu" else 8
        for network in _NETWORKS.value or NETWORKS:
            for data, options in DATA.items():
                for per_call in (1, many):
                    large = network == "large"
                    if per_call > 1 and large and jax.default_backend() == "cpu":
                        continue
                    if per_call > 1 and "process" in data:
                        continue
                    config = NETWORKS[network]()
                    plainest = data == "resident" and per_call == 1
                    if large and _LARGE_BATCH_SIZE.value:
                        config.training.batch_size = _LARGE_BATCH_SIZE.value
                    # The evaluations, which are not measured, take 2 T calls each.
                    config.degradation.stds.num_steps = 2
                    config.training.update({"steps_per_call": per_call, **options})
                    config.training.update(_looks(LOG_EVERY))
                    found = measure(
                        config, None if network == "tiny" else splits, plainest
                    )
                    rows.append(
                        {
                            "network": network,
                            "data": data,
                            "steps_per_call": per_call,
                            **found,
                        }
                    )
                    print(json.dumps(rows[-1]), flush=True)
                    jax.clear_caches()  # Programs take gigabytes.
    timing.write("training_throughput", {"rows": rows})
    print(table(rows))


if __name__ == "__main__":
    programs.run(main)
