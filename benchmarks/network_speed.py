"""Speed of both networks at their published sizes, beside PyTorch in the same run.

    pip install torch
    python benchmarks/network_speed.py

For each network: parameters, FLOPs of a forward pass (counted by XLA), seconds of a
forward pass and of a training step (loss, gradients, Adam), FLOP/s achieved, memory
that XLA reserves, and the same step with the module of torch_networks.py, eager, with
the number of threads that suits it best. The matrix-product rate is that of a large
float32 product. Calls take turns, medians are compared.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import timing
import torch
import torch_networks

import colddiff_jax as cd

BATCH, SIDE, ROUNDS = 32, 32, 5
THREADS = torch.get_num_threads()
NETWORKS = {
    "ConvNeXtUNet, MNIST": (cd.ConvNeXtUNet(), torch_networks.ConvNeXtUNet, 1),
    "UNet, CIFAR-10": (cd.UNet(), torch_networks.UNet, 3),
}


def matmul_rate() -> float:
    """GFLOP/s of a float32 matrix product."""
    size = 2048
    a = jnp.ones((size, size))
    product = jax.jit(lambda a: a @ a)
    seconds = timing.compare({"product": lambda: product(a)}, rounds=ROUNDS)
    return 2 * size**3 / seconds["product"] / 1e9


def ours(model: cd.UNet | cd.ConvNeXtUNet, channels: int) -> tuple[dict, dict]:
    """Compiled forward and training step, and what XLA says of them."""
    x = jnp.zeros((BATCH, SIDE, SIDE, channels))
    t = jnp.ones(BATCH, jnp.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x, t)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
        shapes,
    )
    optimizer = optax.adam(2e-5)
    keys = jax.random.split(jax.random.key(1), BATCH)

    def step(variables: dict, opt_state: optax.OptState, x: jax.Array) -> tuple:
        def loss(variables: dict) -> jax.Array:
            return jnp.abs(model.apply(variables, x, t, dropout_keys=keys) - x).mean()

        gradients = jax.grad(loss)(variables)
        updates, opt_state = optimizer.update(gradients, opt_state)
        return optax.apply_updates(variables, updates), opt_state

    opt_state = optimizer.init(variables)
    forward = jax.jit(model.apply).lower(variables, x, t).compile()
    train = jax.jit(step).lower(variables, opt_state, x).compile()
    calls = {
        "forward": functools.partial(forward, variables, x, t),
        "step": functools.partial(train, variables, opt_state, x),
    }
    facts = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(shapes)),
        "GFLOP, forward": round(forward.cost_analysis()["flops"] / 1e9, 1),
        "GFLOP, step": round(train.cost_analysis()["flops"] / 1e9, 1),
        "megabytes of the step": round(
            train.memory_analysis().temp_size_in_bytes / 2**20
        ),
    }
    return calls, facts


def theirs(make: Callable, channels: int) -> dict[str, Callable]:
    """The same in PyTorch."""
    module = make(channels)
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-5)
    x, t = torch.zeros(BATCH, channels, SIDE, SIDE), torch.ones(BATCH)

    def forward() -> None:
        module.eval()
        with torch.no_grad():
            module(x, t)

    def step() -> None:
        module.train()
        optimizer.zero_grad()
        (module(x, t) - x).abs().mean().backward()
        optimizer.step()

    return {"forward": forward, "step": step}


def main() -> None:
    rate = matmul_rate()
    results: dict[str, object] = {"matrix product, GFLOP/s": round(rate)}
    for name, (model, make, channels) in NETWORKS.items():
        calls, facts = ours(model, channels)
        torch_calls = theirs(make, channels)
        row: dict[str, object] = dict(facts)
        for kind, rounds in (("forward", ROUNDS), ("step", ROUNDS)):
            jobs = {"ours": calls[kind]}
            for threads in (1, THREADS):
                jobs[f"torch, {threads} threads"] = functools.partial(
                    _with_threads, threads, torch_calls[kind]
                )
            seconds = timing.compare(jobs, rounds)
            best = min(value for job, value in seconds.items() if job != "ours")
            achieved = facts[f"GFLOP, {kind}"] / seconds["ours"]
            row |= {
                f"{kind}, seconds": round(seconds["ours"], 3),
                f"{kind}, seconds in PyTorch": round(best, 3),
                f"{kind}, over PyTorch": round(seconds["ours"] / best, 2),
                f"{kind}, GFLOP/s": round(achieved),
                f"{kind}, share of the matrix product": round(achieved / rate, 2),
            }
        results[name] = row
        print(name, row, flush=True)
    timing.write(
        "network_speed",
        {"batch": [BATCH, SIDE, SIDE], "torch": torch.__version__, **results},
    )


def _with_threads(threads: int, call: Callable) -> None:
    torch.set_num_threads(threads)
    call()


if __name__ == "__main__":
    main()
