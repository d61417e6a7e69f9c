"""Measures both networks at their published sizes, side by side with PyTorch.

    pip install -e '.[benchmarks]' torch
    python -m benchmarks.network_speed

For each network: the number of parameters; the FLOPs of a forward pass, as counted by
XLA, and three times that for a training step; the seconds of both (the step includes
loss, gradients, dropout and Adam, and donates its state); the FLOP/s achieved, compared
with a large matrix product; and the memory that XLA reserves. The plain module of
torch_networks.py is timed alongside: on a CPU in eager mode, in both memory formats, of
which the faster counts; on a GPU compiled, channels-last and in bfloat16, the dtype of
our networks there. Calls take turns, and medians are compared. A profile of one step of
each lists the operations that take longest.
"""

import collections
import glob
import re
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import colddiff_jax as cd
from benchmarks import timing, torch_networks

BATCH, SIDE, ROUNDS = 32, 32, 5
ON_GPU = jax.default_backend() == "gpu"
DTYPE = jnp.bfloat16 if ON_GPU else jnp.float32
DEVICE = "cuda" if ON_GPU else "cpu"
FORMATS = {"channels last": torch.channels_last}
if not ON_GPU:
    FORMATS["contiguous"] = torch.contiguous_format
NETWORKS = {
    "ConvNeXtUNet, MNIST": (cd.ConvNeXtUNet, torch_networks.ConvNeXtUNet, 1),
    "UNet, CIFAR-10": (cd.UNet, torch_networks.UNet, 3),
}
LONGEST = 12  # Operations listed by a profile.


def matmul_rate() -> float:
    """Measures the GFLOP/s of a matrix product in the networks' precision."""
    size = 8192 if ON_GPU else 2048
    a = jnp.ones((size, size), DTYPE)
    product = jax.jit(lambda a: a @ a)
    seconds = timing.compare({"product": lambda: product(a)}, rounds=ROUNDS)
    return 2 * size**3 / seconds["product"] / 1e9


class Ours:
    """A network of this package, with its compiled forward pass and training step."""

    def __init__(self, make: Callable, channels: int):
        model = make(dtype=DTYPE)
        self.x = jnp.zeros((BATCH, SIDE, SIDE, channels))
        self.t = jnp.ones(BATCH, jnp.int32)
        shapes = jax.eval_shape(model.init, jax.random.key(0), self.x, self.t)
        rng = np.random.default_rng(0)
        self.variables = jax.tree.map(
            lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
            shapes,
        )
        optimizer = optax.adam(2e-5)
        self.opt_state = optimizer.init(self.variables)
        keys = jax.random.split(jax.random.key(1), BATCH)

        def train(
            variables: dict, opt_state: optax.OptState, x: jax.Array, t: jax.Array
        ) -> tuple:
            def loss(variables: dict) -> jax.Array:
                out = model.apply(variables, x, t, dropout_keys=keys)
                return jnp.abs(out - x).mean()

            gradients = jax.grad(loss)(variables)
            updates, opt_state = optimizer.update(gradients, opt_state)
            return optax.apply_updates(variables, updates), opt_state

        self._forward = (
            jax.jit(model.apply).lower(self.variables, self.x, self.t).compile()
        )
        self._train = (
            jax.jit(train, donate_argnums=(0, 1))
            .lower(self.variables, self.opt_state, self.x, self.t)
            .compile()
        )

    def forward(self) -> jax.Array:
        return self._forward(self.variables, self.x, self.t)

    def step(self) -> Any:
        self.variables, self.opt_state = self._train(
            self.variables, self.opt_state, self.x, self.t
        )
        return self.variables

    def facts(self) -> dict[str, Any]:
        size = sum(leaf.size for leaf in jax.tree.leaves(self.variables))
        forward = self._forward.cost_analysis()["flops"] / 1e9
        return {
            "parameters": size,
            # XLA would count the loops in the gradients of convolutions once.
            "GFLOP": {"forward": round(forward, 1), "step": round(3 * forward, 1)},
            "megabytes that the step reserves": round(
                self._train.memory_analysis().temp_size_in_bytes / 2**20
            ),
        }

    def profile(self) -> dict[str, int]:
        """Returns the milliseconds of one step by operation, summed over threads."""
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                jax.block_until_ready(self.step())
            (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
            planes = jax.profiler.ProfileData.from_file(path).planes
            text = self._train.as_text()
            names = dict(re.findall(r'%([\w.\-]+) = .*op_name="([^"]*)"', text))
            known = set(re.findall(r"%([\w.\-]+) = ", text))
            spent: collections.Counter[str] = collections.Counter()
            for plane in planes:
                for line in plane.lines:
                    for event in line.events:
                        loop = re.match("while|call|cond", event.name)
                        if event.name in known and not loop:
                            spent[_operation(event.name, names)] += event.duration_ns
        return {name: round(ns / 1e6) for name, ns in spent.most_common(LONGEST)}


def _operation(instruction: str, names: dict[str, str]) -> str:
    """Returns the layer and primitive of an XLA instruction, without numbers."""
    path = names.get(instruction, "").split("/")
    name = "/".join(path[-2:]) or f"unnamed {instruction}"
    return re.sub(r"[_.]*\d+", "", name)


class Theirs:
    """The same network in PyTorch."""

    def __init__(self, make: Callable, channels: int, layout: torch.memory_format):
        self.module = make(channels).to(DEVICE, memory_format=layout)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=2e-5)
        self.x = torch.zeros(BATCH, channels, SIDE, SIDE, device=DEVICE)
        self.x = self.x.to(memory_format=layout)
        self.t = torch.ones(BATCH, device=DEVICE)
        self.call = torch.compile(self.module) if ON_GPU else self.module

    def _restore(self) -> torch.Tensor:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=ON_GPU):
            return self.call(self.x, self.t)

    def forward(self) -> None:
        self.module.eval()
        with torch.no_grad():
            self._restore()
        self._wait()

    def step(self) -> None:
        self.module.train()
        self.optimizer.zero_grad()
        (self._restore() - self.x).abs().mean().backward()
        self.optimizer.step()
        self._wait()

    def profile(self) -> dict[str, int]:
        with torch.profiler.profile() as profiler:
            self.step()
        spent = {
            event.key: event.self_device_time_total or event.self_cpu_time_total
            for event in profiler.key_averages()
        }
        longest = sorted(spent, key=spent.__getitem__, reverse=True)[:LONGEST]
        return {name: round(spent[name] / 1e3) for name in longest}

    def _wait(self) -> None:
        if ON_GPU:
            torch.cuda.synchronize()


def compare(ours: Ours, theirs: dict[str, Theirs], rate: float) -> dict[str, Any]:
    """Returns the row of one network."""
    facts = ours.facts()
    row: dict[str, Any] = dict(facts)
    for kind in ("forward", "step"):
        jobs = {"ours": getattr(ours, kind)}
        for layout, module in theirs.items():
            jobs[f"PyTorch, {layout}"] = getattr(module, kind)
        seconds = timing.compare(jobs, ROUNDS)
        best = min(value for job, value in seconds.items() if job != "ours")
        achieved = facts["GFLOP"][kind] / seconds["ours"]
        row[kind] = {
            "seconds": {job: round(value, 4) for job, value in seconds.items()},
            "ours over PyTorch": round(seconds["ours"] / best, 2),
            "GFLOP/s": round(achieved),
            "share of the matrix product's": round(achieved / rate, 2),
        }
    row["longest operations of a step, milliseconds"] = {
        "ours": ours.profile(),
        "PyTorch": theirs["channels last"].profile(),
    }
    return row


def main() -> None:
    rate = matmul_rate()
    results: dict[str, Any] = {"matrix product, GFLOP/s": round(rate)}
    for name, (make, make_torch, channels) in NETWORKS.items():
        theirs = {
            layout: Theirs(make_torch, channels, memory_format)
            for layout, memory_format in FORMATS.items()
        }
        results[name] = compare(Ours(make, channels), theirs, rate)
    timing.write(
        "network_speed",
        {
            "batch": [BATCH, SIDE, SIDE],
            "dtype": jnp.dtype(DTYPE).name,
            **results,
        },
    )


if __name__ == "__main__":
    main()
