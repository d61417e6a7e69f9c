"""Compiles the programs of published networks for one TPU v5e chip, without a TPU.

    pip install --no-deps --target TPU libtpu==0.0.42.1     of the extra jax[tpu]
    PYTHONPATH=TPU python -m benchmarks.tpu_compile

XLA's compiler for TPUs needs no TPU, only the package libtpu. Nothing runs: for each
program this reports the compiler's own counts of operations, bytes and reserved memory,
the least time that they allow (the roofline of the chip), the compiler's estimate, and
how much of its tiles of 8 x 128 numbers is padding. A step is the library's training
step on one device; Algorithm 2 takes the published number of steps; an evaluation holds
Algorithms 1 and 2, the pixel metrics and Inception, each loop counted as one round.

Every program compiles in a process of its own, and results are written after each.
libtpu serves one process at a time and holds /tmp/libtpu_lockfile meanwhile. A process
that is killed, as at the time limit, leaves the file behind: if libtpu then says that
the TPU is in use while no other process compiles, delete it.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing, tpu_chip
from colddiff_jax.data import Batch, arrays
from colddiff_jax.evaluation.protocol import SOUND
from colddiff_jax.evaluation.scoring import ScoringProgram
from colddiff_jax.experiment.model import Model
from colddiff_jax.feature_nets import FeatureNet, inception
from colddiff_jax.feature_nets.inception_network import SIDE, Inception
from colddiff_jax.restoration.samplers import DEFAULT_SAMPLERS, parse_samplers
from colddiff_jax.sampling import sample_alg2
from colddiff_jax.training.task import (
    Task,
    build_model_and_task,
    initial_state,
    train_step,
)
from configs import cifar_blur, mnist_blur

NAME = "tpu_compile"


@dataclasses.dataclass(frozen=True)
class Experiment:
    config: Any
    channels: int
    batch: int

    def build(self) -> tuple[Model, Task]:
        config = self.config
        config.model.dtype = "bfloat16"  # As "auto" is on a TPU.
        config.training.batch_size = self.batch
        side = config.data.image_size
        images = np.zeros((512, side, side, self.channels), np.uint8)
        return build_model_and_task(config, splits=arrays(images, images))


@dataclasses.dataclass(frozen=True)
class Job:
    """A function, the arguments to compile it for, and the rounds of its loop."""

    function: Callable
    arguments: tuple
    rounds: int = 1
    donated: tuple[int, ...] = ()


def experiments() -> dict[str, Experiment]:
    patched = cifar_blur.get_config()
    patched.model.patch_size = 2
    return {
        "UNet, 32 x 32 x 3": Experiment(cifar_blur.get_config(), 3, 128),
        "UNet in patches of 2, 32 x 32 x 3": Experiment(patched, 3, 128),
        "ConvNeXt, 32 x 32 x 1": Experiment(mnist_blur.get_config("paper"), 1, 128),
    }


def training(experiment: Experiment) -> Job:
    model, task = experiment.build()
    side = len(task.preprocessing.resize(task.data.splits.train[0]))
    shape = (experiment.batch, side, side, experiment.channels)
    state = jax.eval_shape(lambda: initial_state(model, task))
    batch = Batch(jax.ShapeDtypeStruct(shape, jnp.uint8))
    arguments = (state, batch, model.degrade, jax.random.key(0))
    return Job(train_step(model, task), arguments, donated=(0,))


def algorithm_2(experiment: Experiment) -> Job:
    model, _ = experiment.build()
    shape = (experiment.batch, *model.image_shape)
    x_T = jax.ShapeDtypeStruct(shape, jnp.float32)

    def sample(params: Any, degrade: Any, x_T: jax.Array) -> jax.Array:
        return sample_alg2(model.restore_fn(params), degrade, x_T).x_0

    arguments = (model.abstract_params, model.degrade, x_T)
    return Job(sample, arguments, rounds=model.degrade.num_steps)


def evaluation(experiment: Experiment) -> Job:
    model, _ = experiment.build()
    photo = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    weights = jax.eval_shape(Inception().init, jax.random.key(0), photo)["params"]
    program = ScoringProgram(
        model,
        parse_samplers(DEFAULT_SAMPLERS, model.degrade),
        (FeatureNet("inception", inception.features),),
        SOUND,
        "fixed",
    )
    shape = (experiment.batch, *model.image_shape)
    batch = Batch(jax.ShapeDtypeStruct(shape, jnp.uint8))
    indices = jax.ShapeDtypeStruct((experiment.batch,), jnp.int32)
    shared = (model.abstract_params, model.degrade, jax.random.key(0), [weights])
    return Job(program, (shared, (batch, indices)))


KINDS: dict[str, Callable[[Experiment], Job]] = {
    "Algorithm 2": algorithm_2,
    "training step": training,
    "evaluation": evaluation,
}
PROGRAMS = [f"{kind}: {name}" for kind in KINDS for name in experiments()]


def compile_here(program: str) -> dict[str, Any]:
    """Compiles a program in this process and returns its row."""
    kind, _, name = program.partition(": ")
    experiment = experiments()[name]
    job = KINDS[kind](experiment)
    arguments = tpu_chip.on_chip(job.arguments)
    jitted = jax.jit(job.function, donate_argnums=job.donated)
    lowered = jitted.lower(*arguments)
    start = time.process_time()
    compiled = lowered.compile()
    seconds = time.process_time() - start
    return {
        "batch": experiment.batch,
        "rounds": job.rounds,
        "CPU seconds to compile": round(seconds, 1),
        **tpu_chip.demands(compiled, job.rounds),
        "if channels were in lanes": tpu_chip.levels(lowered.as_text()),
    }


def compile_apart(program: str, limit: int) -> dict[str, Any]:
    """Compiles a program in a process of its own; returns its row, or the error."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "row.json")
        flags = ["--programs", program, "--limit", str(limit), "--row", str(path)]
        command = [sys.executable, "-m", f"benchmarks.{NAME}", *flags]
        process = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return {"error": f"killed, or not compiled within {limit} CPU seconds"}
        if process.returncode:
            return {"error": "\n".join(process.stderr.splitlines()[-12:])[-1500:]}
        return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--limit", type=int, default=1800, help="CPU seconds for each")
    parser.add_argument("--row", type=pathlib.Path, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    # Off Google's cloud there is no server to ask about TPUs.
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    jax.config.update("jax_platforms", "cpu")
    if flags.row:
        (program,) = flags.programs
        resource.setrlimit(resource.RLIMIT_CPU, (flags.limit, flags.limit + 5))
        flags.row.write_text(json.dumps(compile_here(program)))
        return
    libtpu = importlib.metadata.version("libtpu")
    path = timing.RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text())["programs"] if path.exists() else {}
    for program in flags.programs:
        # The file may hold programs that were compiled at other commits.
        commit = timing.provenance()["commit"]
        rows[program] = {"commit": commit, **compile_apart(program, flags.limit)}
        timing.write(
            NAME,
            {
                "libtpu": libtpu,
                "chip": "one TPU v5e, compiled for and not run on",
                "FLOP per byte at which arithmetic is the limit": round(tpu_chip.RIDGE),
                "dtype": "bfloat16",
                "programs": {name: rows[name] for name in PROGRAMS if name in rows},
            },
        )


if __name__ == "__main__":
    main()
