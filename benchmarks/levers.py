"""Studies of changes to training at equal compute, which can be interrupted.

A study trains a network once per lever and seed. Its flags are --num_steps, --seeds and
--num_images, and its results are collected in benchmarks/results/STUDY/CONFIG.json
after each run, so that the same command goes on.
"""

import json
import os
import runpy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from benchmarks import timing
from colddiff_jax.data import Batch
from colddiff_jax.experiment.model import Model
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.prng import stream
from colddiff_jax.training.task import Task, initial_state, train_step

NUM_STEPS = flags.DEFINE_integer("num_steps", 600, "steps of the plain runs", 1)
SEEDS = flags.DEFINE_integer("seeds", 2, "runs per lever", 1)
NUM_IMAGES = flags.DEFINE_integer("num_images", 512, "test images to restore", 1)

Column = tuple[str, tuple[str, ...], int]
"""A heading, the keys that lead to the number in a run, and its decimals."""


def read_config(path: str, images: str, seed: int) -> Any:
    """Returns a configuration for other images and another seed."""
    path, _, variant = path.partition(":")
    config = runpy.run_path(path)["get_config"](variant or None)
    config.seed = seed
    config.data.update({"source": "npz", "path": images})
    return config


def set_length(config: Any, num_steps: int) -> None:
    """Sets a run of some steps, with few evaluations."""
    config.optimizer.update({"warmup_steps": num_steps // 10, "decay_steps": num_steps})
    config.training.update(
        {
            "num_steps": num_steps,
            "evaluate_every": num_steps,
            "checkpoint_every": num_steps,
        }
    )
    config.evaluation.update({"num_images": 64, "batch_size": 64})


def flops(model: Model, task: Task) -> float:
    """Returns the floating-point operations of one training step, counted by XLA."""
    shape = (task.training.batch_size, *model.image_shape)
    state = jax.eval_shape(lambda: initial_state(model, task))
    lowered = jax.jit(train_step(model, task)).lower(
        state,
        Batch(np.zeros(shape, np.uint8)),
        model.degrade,
        stream(task.seed, "train"),
    )
    return lowered.cost_analysis()["flops"]


def study(
    name: str,
    path: str,
    levers: Iterable[str],
    run: Callable[[str, int], dict[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """Runs the levers and seeds that the result of a configuration lacks.

    Args:
        name: of the study, its module and its folder of results.
        path: the configuration.
        levers: their names.
        run: maps a lever and a seed to the result of a run.
        **more: what else to keep.

    Returns:
        The content of the result file, with all runs by "LEVER, seed SEED".
    """
    stem = os.path.basename(path).replace(".py", "").replace(":", "_")
    result = timing.RESULTS / name / f"{stem}.json"
    result.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"runs": {}}
    if result.exists():
        found = json.loads(result.read_text())
    command = (
        f"python -m benchmarks.{name} --num_steps={NUM_STEPS.value} "
        f"--seeds={SEEDS.value} --num_images={NUM_IMAGES.value} {path} IMAGES.npz"
    )
    for seed in range(SEEDS.value):
        for lever in levers:
            key = f"{lever}, seed {seed}"
            if key in found["runs"]:
                continue
            found["runs"][key] = run(lever, seed)
            found |= {**timing.provenance(), "command": command, **more}
            write_atomically(str(result), (json.dumps(found, indent=2) + "\n").encode())
            print(f"{key}: {found['runs'][key]}", flush=True)
    return found


def table(
    found: dict[str, Any], levers: Iterable[str], columns: Sequence[Column]
) -> str:
    """Returns the means over seeds and the largest deviations, as Markdown."""
    heads = " | ".join(head for head, _, _ in columns)
    lines = [f"| | steps | {heads} |", f"|{' --- |' * (len(columns) + 2)}"]
    for lever in levers:
        runs = [found["runs"].get(f"{lever}, seed {n}") for n in range(SEEDS.value)]
        runs = [run for run in runs if run]
        if not runs:
            continue
        cells = [lever, str(runs[0]["num_steps"])]
        for _, keys, digits in columns:
            values = [_value(run, keys) for run in runs]
            mean = sum(values) / len(values)
            deviation = max(abs(value - mean) for value in values)
            cells.append(f"{mean:.{digits}f} ± {deviation:.{digits}f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _value(run: Any, keys: Sequence[str]) -> float:
    for key in keys:
        run = run[key]
    return run
