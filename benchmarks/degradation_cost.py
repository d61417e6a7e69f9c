"""The cost of D(x, t) does not depend on t.

    python benchmarks/degradation_cost.py

Batch 32 at 128 x 128 x 3, T = 200: D at t = 1, T / 2, T and at random t per example;
beside the blur, its definition step by step, t convolutions of every channel.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import timing

import colddiff_jax as cd

T, SIZE, BATCH, KERNEL = 200, 128, 32, 15


@functools.partial(jax.jit, static_argnames="num_steps")
def blur_step_by_step(x: jax.Array, taps: jax.Array, *, num_steps: int) -> jax.Array:
    """num_steps separable convolutions with reflected edges, by shifted sums."""
    margin = KERNEL // 2

    def step(x: jax.Array, taps: jax.Array) -> tuple[jax.Array, None]:
        for axis in (1, 2):
            width = [(margin, margin) if a == axis else (0, 0) for a in range(4)]
            padded = jnp.pad(x, width, mode="reflect")
            shifted = (
                jax.lax.slice_in_dim(padded, i, i + SIZE, axis=axis)
                for i in range(KERNEL)
            )
            x = sum(tap * image for tap, image in zip(taps, shifted, strict=True))
        return x, None

    return jax.lax.scan(step, x, taps[:num_steps])[0]


def main() -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-1, 1, (BATCH, SIZE, SIZE, 3)), jnp.float32)
    stds = cd.schedules.exponential(T, rate=0.01)
    masks = cd.schedules.linear(T, start=0.1, increment=0.1)
    degradations = {
        "gaussian_blur": cd.gaussian_blur(
            SIZE, stds, kernel_size=KERNEL, padding="reflect"
        ),
        "gaussian_mask": cd.gaussian_mask(SIZE, masks),
        "gaussian_mask, random centre": cd.gaussian_mask(
            SIZE, masks, center="random"
        ).bind(jax.random.key(0), x.shape),
    }
    steps = {"1": 1, "T/2": T // 2, "T": T, "random": rng.integers(1, T + 1, BATCH)}
    apply = jax.jit(lambda degrade, x, t: degrade(x, t))
    results: dict[str, dict] = {}
    for name, degrade in degradations.items():
        calls = {
            label: functools.partial(apply, degrade, x, jnp.asarray(t, jnp.int32))
            for label, t in steps.items()
        }
        seconds = timing.compare(calls, rounds=31)
        results[name] = {
            "milliseconds": {label: round(1e3 * s, 2) for label, s in seconds.items()},
            "T over 1": round(seconds["T"] / seconds["1"], 3),
        }
    offsets = np.arange(KERNEL) - KERNEL // 2
    taps = np.exp(-(offsets**2) / (2 * stds[:, None] ** 2))
    taps = jnp.asarray(taps / taps.sum(1, keepdims=True), jnp.float32)
    blur = degradations["gaussian_blur"]
    np.testing.assert_allclose(
        blur(x, T), blur_step_by_step(x, taps, num_steps=T), atol=2e-5
    )
    seconds = timing.compare(
        {
            "closed form": lambda: apply(blur, x, jnp.int32(T)),
            "step by step": lambda: blur_step_by_step(x, taps, num_steps=T),
        },
        rounds=3,
    )
    ratio = seconds["step by step"] / seconds["closed form"]
    results["gaussian_blur"]["T steps in JAX over closed form"] = round(ratio, 1)
    timing.write(
        "degradation_cost", {"batch": [BATCH, SIZE, SIZE, 3], "T": T, **results}
    )


if __name__ == "__main__":
    main()
