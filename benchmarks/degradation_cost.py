"""Measures the cost of D(x, t): the same at every t, far below that of t single steps.

    python -m benchmarks.degradation_cost

The batch is 32 x 128 x 128 x 3. For every degradation: milliseconds at t = 1, T / 2, T
and at a random t per example, the size of its tables, and the memory that the compiled
call allocates in addition to its result, in copies of the batch. If the paper or its
code defines D(x, t) by repeated steps, also the time of T such steps in JAX, compiled
as one program.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks import single_steps, timing
from benchmarks.single_steps import closed_form
from colddiff_jax import schedules
from colddiff_jax.degradations.mask import cumulative_masks, middle

T, SIZE, BATCH, KERNEL = 200, 128, 32, 15
SHAPE = (BATCH, SIZE, SIZE, 3)

convolve_grouped, convolve = (
    functools.partial(function, padding="reflect")
    for function in (single_steps.convolve_grouped, single_steps.convolve)
)


class Case(NamedTuple):
    """A degradation, and its single steps if it is defined by them.

    `step(x, table)` takes one step; `tables` holds one table per step.
    """

    degrade: cd.Degradation
    step: single_steps.Step | None = None
    tables: Any = None


def convolve_axes(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Blurs by sums of shifted images along each axis, with reflected edges."""
    taps = kernel.sum(axis=0)
    for axis in (1, 2):
        margin = [(0, 0)] * 4
        margin[axis] = (KERNEL // 2, KERNEL // 2)
        padded = jnp.pad(x, margin, mode="reflect")
        x = sum(
            taps[i] * jax.lax.slice_in_dim(padded, i, i + SIZE, axis=axis)
            for i in range(KERNEL)
        )
    return x


def cases() -> dict[str, Case]:
    """Returns every degradation, bound to the batch."""
    key = jax.random.key(0)
    stds = schedules.exponential(T, rate=0.01)
    mask_stds = schedules.linear(T, start=0.1, increment=0.1)
    masks = np.stack(
        [
            cumulative_masks((SIZE, SIZE), middle((SIZE, SIZE)), [s])[1]
            for s in mask_stds
        ]
    )
    ranks, counts = cd.spiral_ranks(SIZE), np.linspace(1, SIZE * SIZE, T).round()
    sizes = list(range(SIZE, SIZE - 120, -1))
    # One step to side s is the first step of the chain that begins there.
    resizes = [cd.pixelate(SIZE, [s], method="area").operators[0][0] for s in sizes]
    keep = 0.99 ** np.arange(1, T + 1)
    others = jax.random.uniform(jax.random.key(1), SHAPE, minval=-1)
    blur = cd.gaussian_blur(SIZE, stds, kernel_size=KERNEL, padding="reflect")
    colour = cd.fade_to_color(SIZE, mask_stds).bind(key, SHAPE)
    random_mask = cd.gaussian_mask(SIZE, mask_stds, center="random").bind(key, SHAPE)
    motion = cd.motion_blur(SIZE, np.linspace(1, 32, T)).bind(key, SHAPE)
    composition = cd.compose(blur, cd.desaturate(keep), random_mask)
    return {
        "gaussian_blur": Case(
            blur, convolve, single_steps.gaussian_kernels(stds, KERNEL)
        ),
        "heat_blur": Case(
            cd.heat_blur(SIZE, schedules.geometric(T, start=0.5, stop=32.0))
        ),
        "motion_blur": Case(motion),
        "pixelate (area, T = 120)": Case(
            cd.pixelate(SIZE, sizes, method="area"),
            single_steps.resize,
            np.stack(resizes),
        ),
        "gaussian_mask": Case(
            cd.gaussian_mask(SIZE, mask_stds), single_steps.multiply, masks[..., None]
        ),
        "gaussian_mask (random)": Case(random_mask),
        "rank_mask": Case(
            cd.rank_mask(ranks, counts),
            single_steps.multiply,
            (ranks >= counts[:, None, None])[..., None],
        ),
        "fade": Case(cd.fade(keep), single_steps.multiply, np.full((T, 1, 1, 1), 0.99)),
        "desaturate": Case(
            cd.desaturate(keep), single_steps.mix_channels, np.full((T, 1, 1, 1), 0.99)
        ),
        "snow": Case(cd.snow(SIZE, T).bind(key, SHAPE)),
        "fade_to_color": Case(colour),
        "animorph": Case(cd.animorph(schedules.cosine(T)).with_endpoint(others)),
        "gaussian_noise": Case(
            cd.gaussian_noise(schedules.cosine(T)).bind(key, SHAPE)
        ),
        "jpeg_like": Case(cd.jpeg_like(np.linspace(90, 5, T))),
        "quantize (gaussian_mask)": Case(
            cd.quantize(cd.gaussian_mask(SIZE, mask_stds))
        ),
        "from_function (darken)": Case(
            cd.from_function(lambda x, t: (x + 1) * 0.99**t - 1, num_steps=T)
        ),
        "compose (blur, grey, mask)": Case(composition.bind(key, SHAPE)),
    }  # fmt: skip


def measure(case: Case, x: jax.Array, rng: np.random.Generator) -> dict[str, Any]:
    """Returns the row of one degradation."""
    degrade, num_steps = case.degrade, case.degrade.num_steps
    steps = {
        "1": 1,
        "T/2": num_steps // 2,
        "T": num_steps,
        "random": rng.integers(1, num_steps + 1, BATCH),
    }
    seconds = timing.compare(
        {
            label: functools.partial(closed_form, degrade, x, jnp.asarray(t, jnp.int32))
            for label, t in steps.items()
        },
        rounds=101,
    )
    program = closed_form.lower(degrade, x, jnp.asarray(steps["random"], jnp.int32))
    memory = program.compile().memory_analysis()
    row = {
        "milliseconds": {label: round(1e3 * s, 2) for label, s in seconds.items()},
        "T over 1": round(seconds["T"] / seconds["1"], 3),
        "tables and draws, MB": round(
            sum(leaf.nbytes for leaf in jax.tree.leaves(degrade)) / 1e6, 2
        ),
        "allocated, copies of the batch": round(
            memory.temp_size_in_bytes / x.nbytes, 2
        ),
    }
    if case.step is not None:
        tables = jnp.asarray(case.tables, jnp.float32)
        slow = functools.partial(single_steps.all_steps, case.step, x, tables)
        np.testing.assert_allclose(degrade(x, num_steps), slow(), atol=5e-5)
        fast = functools.partial(closed_form, degrade, x, jnp.asarray(steps["random"]))
        ratio = timing.compare({"slow": slow, "fast": fast}, rounds=3)
        row["T single steps, milliseconds"] = round(1e3 * ratio["slow"], 1)
        row["T single steps over random t"] = round(ratio["slow"] / ratio["fast"], 1)
    return row


def compare_convolutions(case: Case, x: jax.Array) -> dict[str, float]:
    """Compares T single blurs, by each convolution, with the blur at random t."""
    tables = jnp.asarray(case.tables, jnp.float32)
    t = jnp.asarray(np.random.default_rng(0).integers(1, T + 1, BATCH))
    convolutions = {
        "grouped convolution": convolve_grouped,
        "one convolution per channel": convolve,
        "sums of shifted images along each axis": convolve_axes,
    }
    calls = {
        name: functools.partial(single_steps.all_steps, convolve, x, tables)
        for name, convolve in convolutions.items()
    }
    seconds = timing.compare(
        calls | {"closed form": lambda: closed_form(case.degrade, x, t)}, rounds=1
    )
    closed = timing.compare({"": lambda: closed_form(case.degrade, x, t)}, rounds=21)[
        ""
    ]
    return {name: round(seconds[name] / closed, 1) for name in convolutions}


def main() -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-1, 1, SHAPE), jnp.float32)
    rows = {}
    for name, case in cases().items():
        rows[name] = measure(case, x, rng)
        print(name, rows[name], flush=True)
    blur = cases()["gaussian_blur"]
    timing.write(
        "degradation_cost",
        {
            "batch": list(SHAPE),
            "T": T,
            "degradations": rows,
            "200 convolutions over gaussian_blur at random t": compare_convolutions(
                blur, x
            ),
        },
    )


if __name__ == "__main__":
    main()
