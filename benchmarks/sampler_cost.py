"""Measures the cost of a trajectory relative to its network calls alone.

    python -m benchmarks.sampler_cost

A small U-Net restores images of 32 x 32 and 128 x 128 pixels by every sampler from a
blur (by DDIM from noise), and by Algorithm 2 also from random masks and pixelation. The
whole compiled trajectory, including the degradations, is compared with the same number
of compiled calls of the network.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks import timing
from colddiff_jax.sampling import Restart

T = 5
BATCHES = {32: 16, 128: 1}
RESTART = Restart(low=1, high=4)


def samplers() -> dict[str, tuple[Callable, int]]:
    """Returns every sampler with its number of network calls, by name."""
    momentum = functools.partial(
        cd.sample_momentum,
        key=jax.random.key(0),
        noise_stds=np.linspace(0.01, 0.1, T),
    )
    restart = functools.partial(cd.sample_alg2, restart=RESTART)
    return {
        "alg1": (cd.sample_alg1, T),
        "alg2": (cd.sample_alg2, T),
        "heun": (cd.sample_heun, 2 * T - 1),
        "ab2": (cd.sample_ab2, T),
        "momentum": (momentum, T),
        "alg2 with a restart": (restart, T + RESTART.high - RESTART.low + 1),
    }


def degradations(size: int, shape: tuple[int, ...]) -> dict[str, cd.Degradation]:
    stds = cd.schedules.linear(T, start=0.35, increment=0.05)
    masks = cd.schedules.linear(T, start=1.1, increment=0.1)
    sizes = np.linspace(size - 1, size // 8, T).round().astype(int)
    random_mask = cd.gaussian_mask(size, masks, center="random")
    return {
        "gaussian_blur": cd.gaussian_blur(
            size, stds, kernel_size=11, padding="reflect"
        ),
        "gaussian_mask": random_mask.bind(jax.random.key(1), shape),
        "pixelate": cd.pixelate(size, sizes),
    }


def measure(size: int) -> dict[str, object]:
    """Measures the time of every sampler, divided by that of its network calls."""
    x = np.random.default_rng(0).uniform(-1, 1, (BATCHES[size], size, size, 3))
    x = jnp.asarray(x, jnp.float32)
    model = cd.UNet(
        base_channels=32, channel_multipliers=(1, 2), num_blocks=1, num_groups=8
    )
    t = jnp.full(len(x), T, jnp.int32)
    fast = {"xla_backend_optimization_level": 0}
    variables = jax.jit(model.init, compiler_options=fast)(jax.random.key(0), x, t)
    restore_fn = jax.tree_util.Partial(model.apply, variables)
    network = jax.jit(lambda restore_fn, x, t: restore_fn(x, t))
    noise = cd.gaussian_noise(cd.schedules.cosine(T)).bind(jax.random.key(2), x.shape)
    ddim = functools.partial(cd.sample_ddim, key=jax.random.key(3), eta=0.5)
    jobs = {
        (name, kind): (sampler, calls, degrade)
        for name, degrade in degradations(size, x.shape).items()
        for kind, (sampler, calls) in samplers().items()
        if name == "gaussian_blur" or kind == "alg2"
    } | {("gaussian_noise", "ddim"): (ddim, T, noise)}
    ratios: dict[str, dict[str, float]] = {}
    for (name, kind), (sampler, calls, degrade) in jobs.items():
        run = jax.jit(sampler)
        seconds = timing.compare(
            {
                "network": functools.partial(_repeat, network, restore_fn, x, t),
                "sampler": functools.partial(run, restore_fn, degrade, x),
            },
            rounds=6,
        )
        ratio = seconds["sampler"] / (calls * seconds["network"] / T)
        ratios.setdefault(name, {})[kind] = round(ratio, 3)
    return {"batch": list(x.shape), "over as many network calls": ratios}


def _repeat(
    network: Callable, restore_fn: Callable, x: jax.Array, t: jax.Array
) -> jax.Array:
    """Calls the network T times, each time on its previous output."""
    for _ in range(T):
        x = network(restore_fn, x, t)
    return x


def main() -> None:
    timing.write("sampler_cost", {"T": T, **{str(s): measure(s) for s in BATCHES}})


if __name__ == "__main__":
    main()
