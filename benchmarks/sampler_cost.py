"""A trajectory of T steps costs little more than T network calls.

    python benchmarks/sampler_cost.py

Algorithms 1 and 2 with a U-Net, 32 x 32 x 3 images, T = 50 and blur or random masks:
the whole compiled trajectory against T times one compiled call of the network.
"""

import jax
import jax.numpy as jnp
import numpy as np
import timing

import colddiff_jax as cd

T, BATCH, SIZE = 50, 16, 32


def main() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIZE, SIZE, 3))
    x = jnp.asarray(x, jnp.float32)
    model = cd.UNet(
        base_channels=32, channel_multipliers=(1, 2), num_blocks=1, num_groups=8
    )
    t = jnp.full((BATCH,), T, jnp.int32)
    fast = {"xla_backend_optimization_level": 0}
    variables = jax.jit(model.init, compiler_options=fast)(jax.random.key(0), x, t)
    restore_fn = jax.tree_util.Partial(model.apply, variables)
    network = jax.jit(lambda restore_fn, x, t: restore_fn(x, t))
    stds = cd.schedules.linear(T, start=0.35, increment=0.01)
    masks = cd.schedules.linear(T, start=1.1, increment=0.1)
    degradations = {
        "gaussian_blur": cd.gaussian_blur(
            SIZE, stds, kernel_size=11, padding="reflect"
        ),
        "gaussian_mask": cd.gaussian_mask(SIZE, masks, center="random").bind(
            jax.random.key(1), x.shape
        ),
    }
    results = {}
    for name, degrade in degradations.items():
        seconds = timing.compare(
            {
                "network": lambda: network(restore_fn, x, t),
                "alg1": lambda: jax.jit(cd.sample_alg1)(restore_fn, degrade, x).x_0,  # noqa: B023
                "alg2": lambda: jax.jit(cd.sample_alg2)(restore_fn, degrade, x).x_0,  # noqa: B023
            },
            rounds=7,
        )
        results[name] = {
            "one network call, milliseconds": round(1e3 * seconds["network"], 2),
            **{
                f"{algorithm} over T network calls": round(
                    seconds[algorithm] / (T * seconds["network"]), 3
                )
                for algorithm in ("alg1", "alg2")
            },
        }
    timing.write("sampler_cost", {"batch": [BATCH, SIZE, SIZE, 3], "T": T, **results})


if __name__ == "__main__":
    main()
