"""Measures the small and both published networks, side by side with PyTorch.

    pip install -e '.[benchmarks]' torch
    python -m benchmarks.network_speed
    python -m benchmarks.network_speed --networks "UNet, CIFAR-10"

The small network is that of `configs/mnist_blur.py:cpu`. For each network: the number
of parameters; the FLOPs of a forward pass, as counted by XLA, and three times that for
a training step; the seconds of both (the step includes loss, gradients, dropout and
Adam, and donates its state); the FLOP/s achieved, compared with a large matrix product;
and the memory that XLA reserves. The plain module of torch_networks.py is timed
alongside in eager mode, in both memory formats, of which the faster counts. Calls take
turns. A profile of the steps, of PyTorch's in the faster format, says how much of them
convolutions take, and lists the operations that take longest. All of it runs on the
CPU; on_gpu.sh measures GPUs. Results are written after every network, with the command
and commit of each, and replace its older ones only.
"""

import argparse
import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import profiles, timing
from benchmarks.suite import pairs, turns
from benchmarks.suite.network_step import NetworkStep
from benchmarks.suite.pairs import Pair
from benchmarks.suite.theirs.networks import LAYOUTS
from benchmarks.suite.theirs.profiling import profile

# By name: the network, how its calls are compared and how often, and steps profiled.
NETWORKS: dict[str, tuple[Callable[[], Pair], Callable, int, int]] = {
    "UNet in patches of 4, MNIST": (
        functools.partial(pairs.small_network, "full"),
        turns.ratio,
        25,
        5,
    ),
    "ConvNeXtUNet, MNIST": (
        functools.partial(pairs.published, "ConvNeXtUNet"),
        timing.ratio,
        3,
        1,
    ),
    "UNet, CIFAR-10": (
        functools.partial(pairs.published, "UNet"),
        timing.ratio,
        3,
        1,
    ),
}


def matmul_rate() -> float:
    """Measures the GFLOP/s of a matrix product in the networks' precision."""
    size = 2048
    a = jnp.ones((size, size))
    product = jax.jit(lambda a: a @ a)
    seconds = timing.compare({"product": lambda: product(a)}, rounds=5)
    return 2 * size**3 / seconds["product"] / 1e9


def facts(ours: NetworkStep) -> dict[str, Any]:
    """Returns the size of a network and of its programs."""
    forward = ours.forward_program.cost_analysis()["flops"] / 1e9
    reserved = ours.program.memory_analysis().temp_size_in_bytes
    return {
        "parameters": ours.size,
        # XLA would count the loops in the gradients of convolutions once.
        "GFLOP": {"forward": round(forward, 1), "step": round(3 * forward, 1)},
        "megabytes that the step reserves": round(reserved / 2**20),
    }


def measure(
    pair: Pair, ratio: Callable, rounds: int, profiled: int, rate: float
) -> dict[str, Any]:
    """Returns the row of one network."""
    ours = pair.ours()
    theirs = {f"PyTorch, {layout}": pair.theirs(layout) for layout in LAYOUTS}
    steps: dict[str, Any] = {"ours": ours, **theirs}
    passes = {
        "forward": {name: step.forward for name, step in steps.items()},
        "step": steps,
    }
    row: dict[str, Any] = {
        "matrix product, GFLOP/s": round(rate),
        "batch": list(pair.x.shape),
        **facts(ours),
    }
    for kind, calls in passes.items():
        found = ratio(calls, rounds, over="ours")
        seconds = found["seconds"]
        best = min(theirs, key=seconds.__getitem__)
        achieved = row["GFLOP"][kind] / seconds["ours"]
        row[kind] = {
            **found,
            "ours over PyTorch": round(1 / found["over ours"][best]["median"], 2),
            "GFLOP/s": round(achieved),
            "share of the matrix product's": round(achieved / rate, 2),
        }
    # Of the step, which was measured last.
    row["milliseconds of a step"] = {
        "ours": profiles.of_ours(ours, profiled),
        best: profile(theirs[best], profiled),
    }
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    chosen = parser.parse_args().networks
    path = timing.RESULTS / "network_speed.json"
    rows = json.loads(path.read_text())["networks"] if path.exists() else {}
    rate = matmul_rate()
    for name in chosen:
        make, ratio, rounds, profiled = NETWORKS[name]
        source = {key: timing.provenance()[key] for key in ("command", "commit")}
        rows[name] = source | measure(make(), ratio, rounds, profiled, rate)
        jax.clear_caches()  # Compiled programs take gigabytes.
        ordered = {name: rows[name] for name in NETWORKS if name in rows}
        timing.write("network_speed", {"dtype": "float32", "networks": ordered})


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    main()
