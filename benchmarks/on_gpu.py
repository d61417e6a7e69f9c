"""Runs one part of the measurements on a GPU; on_gpu.sh runs all of them.

    python -m benchmarks.on_gpu PART --out=FOLDER --seconds=SECONDS

The results of a part are written to FOLDER/on_gpu.json as soon as they are measured,
beside those of the other parts; "finished" says whether all of them are there. Without
a GPU the part is rehearsed with tiny sizes, and the file is FOLDER/rehearsal.json.
"""

import argparse
import collections
import dataclasses
import functools
import gzip
import json
import pathlib
import re
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks import gpu_layers, gpu_training, timing
from benchmarks.gpu_layers import ON_GPU, Results, Run
from benchmarks.suite.network_step import random_params
from colddiff_jax.io.atomic import write_atomically

LONGEST = 25  # Operations listed of a trace.
LARGEST_TRACE = 16 * 2**20  # Bytes of a compressed trace that is kept.
_CONTROL = re.compile(r"closed_call|while|body|cond|branch_\d+_fun|.*<locals>.*")


def trace(run: Run) -> Results:
    """Traces three training steps, and lists the operations that take longest."""
    steps = 3
    # Without the calls of Python functions, which would be most of the trace.
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    for name, experiment in gpu_training.experiments(run).items():
        ours = gpu_training.Ours(experiment, "bfloat16")
        jax.block_until_ready(ours.run(1, 1))
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder, profiler_options=options):
                start = time.perf_counter()
                jax.block_until_ready(ours.run(1, steps))
                seconds = time.perf_counter() - start
            (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
            row = longest_operations(path, ours.compiled().as_text(), steps)
            packed = gzip.compress(path.read_bytes())
        row["milliseconds of a step, while traced"] = round(seconds / steps * 1e3, 3)
        device = "gpu" if ON_GPU else "cpu"
        file = run.out / f"trace_{name}_{device}.xplane.pb.gz"
        if len(packed) <= LARGEST_TRACE:
            file.write_bytes(packed)
            row["file"] = file.name
        yield name, row


def longest_operations(path: pathlib.Path, program: str, steps: int) -> dict[str, Any]:
    """Lists the longest operations of a trace, by layer and by kernel.

    Args:
        path: the trace.
        program: the text of the compiled program, which names the layers.
        steps: the number of steps that were traced.
    """
    layers = dict(re.findall(r'%([\w.\-]+) = .*op_name="([^"]*)"', program))
    by_layer: collections.Counter[str] = collections.Counter()
    by_kernel: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            is_stream = plane.name.startswith("/device:GPU") and "Stream" in line.name
            for event in line.events:
                # A kernel of a CUDA graph may not say whose instruction it is.
                instruction = dict(event.stats).get("hlo_op", "")
                if not (is_stream if ON_GPU else instruction):
                    continue
                if re.match("while|call|cond", instruction):
                    continue  # It consists of other events.
                by_layer[_layer(layers.get(instruction, event.name))] += (
                    event.duration_ns
                )
                by_kernel[event.name] += event.duration_ns
                calls[event.name] += 1
    total = by_kernel.total()
    return {
        "milliseconds of all operations of a step": round(total / steps / 1e6, 3),
        "layers": [
            {
                "layer": layer,
                "milliseconds": round(ns / steps / 1e6, 4),
                "share": round(ns / total, 3),
            }
            for layer, ns in by_layer.most_common(LONGEST)
        ],
        "kernels": [
            {
                "kernel": kernel[:160],
                "milliseconds": round(ns / steps / 1e6, 4),
                "share": round(ns / total, 3),
                "calls": calls[kernel] / steps,
            }
            for kernel, ns in by_kernel.most_common(LONGEST)
        ],
    }


def _layer(op_name: str) -> str:
    """Returns the layers and primitive of an operation, unnumbered."""
    path = op_name.removeprefix("jit(step)/").split("/")
    named = "/".join(part for part in path if not _CONTROL.fullmatch(part))
    return re.sub(r"[_.]*\d+", "", named)


def sampling(run: Run) -> Results:
    """Generates 50,000 images, or as many as the time allows, by Algorithm 2."""
    batch, total = (4, 12) if run.small else (1000, 50_000)
    experiment = gpu_training.experiments(run)["cifar"]
    experiment = dataclasses.replace(experiment, batch=batch)
    model, degrade = experiment.module("bfloat16"), experiment.blur()
    params = random_params(model, experiment.shape)
    restore_fn = jax.tree_util.Partial(model.apply, {"params": params})

    def sample(restore_fn: Any, degrade: Any, index: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(0), index)
        x_0 = cd.to_float(jax.random.bits(key, experiment.shape, jnp.uint8))
        x_T = degrade(x_0, degrade.num_steps)
        return cd.sample_alg2(restore_fn, degrade, x_T).x_0

    call = functools.partial(jax.jit(sample), restore_fn, degrade)
    start = time.perf_counter()
    cd.to_uint8(np.asarray(call(0)))
    yield "first batch, seconds", round(time.perf_counter() - start, 2)
    flops = degrade.num_steps * gpu_training.forward_flops(
        model, params, experiment.shape
    )
    start = time.perf_counter()
    done, running, per_batch = 0, call(0), 0.0
    while done < total and time.time() + 3 * per_batch + 5 < run.deadline:
        # The next batch runs while this one is copied to the host.
        done, images, running = done + batch, running, call(done // batch + 1)
        cd.to_uint8(np.asarray(images))
        seconds = time.perf_counter() - start
        per_batch = seconds * batch / done
        yield (
            "Algorithm 2",
            {
                "batch": experiment.shape,
                "T": degrade.num_steps,
                "images": done,
                "seconds": round(seconds, 3),
                "images/s": round(done / seconds, 2),
                f"all {total} images were generated": done >= total,
                f"hours for {total} images": round(total * seconds / done / 3600, 4),
                **run.rate("bfloat16", flops, per_batch),
            },
        )


PARTS: dict[str, Callable[[Run], Results]] = {
    "peak": gpu_layers.peak,
    "cifar": functools.partial(gpu_training.training, "cifar"),
    "celeba": functools.partial(gpu_training.training, "celeba"),
    "attention": gpu_layers.attention,
    "depthwise": gpu_layers.depthwise_ways,
    "trace": trace,
    "sampling": sampling,
}


class ResultFile:
    """A JSON file with the results of all parts, of which one is written."""

    def __init__(self, path: pathlib.Path, part: str):
        self._path, self._part = path, part
        self.others = json.loads(path.read_text()) if path.exists() else {}
        self._own: dict[str, Any] = {}
        self.others.pop(part, None)

    def write(self, results: dict[str, Any]) -> None:
        """Adds results of the part."""
        self._own |= results
        text = json.dumps(self.others | {self._part: self._own}, indent=2) + "\n"
        write_atomically(str(self._path), text.encode())
        print(json.dumps(results), flush=True)

    def peaks(self) -> dict[str, float]:
        """Returns the peaks by dtype, if they were measured on this machine."""
        found = self.others.get("peak", {})
        if found.get("machine") != timing.machine():
            return {}
        return {name: found[name] for name in gpu_layers.DTYPES if name in found}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    start = time.time()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    name = "on_gpu" if ON_GPU else "rehearsal"
    file = ResultFile(out / f"{name}.json", arguments.part)
    file.write({**timing.provenance(), "device": jax.devices()[0].device_kind})
    file.write({"finished": False})
    if not ON_GPU:
        # Then a rehearsal takes seconds to compile, not minutes.
        jax.config.update("jax_disable_most_optimizations", True)
    run = Run(
        small=not ON_GPU,
        out=out,
        deadline=start + arguments.seconds,
        peaks=file.peaks(),
    )
    for key, value in PARTS[arguments.part](run):
        file.write({key: value})
    file.write({"finished": True, "seconds": round(time.time() - start, 1)})


if __name__ == "__main__":
    main()
