"""Seconds and memory of D and of a training step, against their sizes.

D is a reflected blur of colour images. The training step is that of the small network,
with its degradation and moving average. T, the side and the batch are changed one at a
time, and the values take turns; "temporary MB" is what XLA reserves beyond arguments
and results.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks.single_steps import (
    closed_form,
    convolve,
    gaussian_kernels,
    steps_up_to,
)
from benchmarks.suite import Form, turns
from benchmarks.suite.whole_step import WholeStep


class Sizes(NamedTuple):
    """The values of each sweep."""

    rounds: int
    num_steps: Sequence[int]
    sides: Sequence[int]
    batches: Sequence[int]
    step_sides: Sequence[int]
    step_batches: Sequence[int]


SIZES = {
    "smoke": Sizes(1, (2, 4), (), (), (), (8,)),
    "short": Sizes(3, (5, 50, 500), (32, 64, 128), (8, 32, 128), (32, 64), (16, 64)),
    "full": Sizes(
        15,
        (5, 20, 50, 200, 1000),
        (16, 32, 64, 128, 256),
        (1, 8, 32, 128),
        (32, 64, 128),
        (8, 16, 32, 64, 128),
    ),
}
T, SIDE, BATCH = 50, 32, 32  # Of D, where they are not changed.
LONGEST = 50  # With more steps, one by one, a measurement would take minutes.


def measure(form: Form) -> dict[str, Any]:
    """Measures all sweeps."""
    sizes = SIZES[form]
    sweeps: dict[str, dict[int, Any]] = {
        "D against T": {n: _blur(num_steps=n) for n in sizes.num_steps},
        "D against the side": {n: _blur(side=n) for n in sizes.sides},
        "D against the batch": {n: _blur(batch=n) for n in sizes.batches},
        "training step against the side": {
            n: WholeStep(form, side=n) for n in sizes.step_sides
        },
        "training step against the batch": {
            n: WholeStep(form, batch_size=n) for n in sizes.step_batches
        },
    }
    rows = {
        name: _sweep({str(n): call for n, call in calls.items()}, sizes.rounds)
        for name, calls in sweeps.items()
        if calls
    }
    steps = {f"{n}": _single_steps(n) for n in sizes.num_steps if n <= LONGEST}
    first = min(steps, key=int)
    rows["T single steps in JAX"] = turns.ratio(steps, sizes.rounds, over=first)
    return rows


class Measured(NamedTuple):
    """A call, and the memory of its compiled program."""

    call: Callable[[], Any]
    facts: dict[str, float]

    def __call__(self) -> Any:
        return self.call()


def _sweep(calls: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Returns a row with the seconds and the memory by value."""
    first = next(iter(calls))
    row: dict[str, Any] = turns.ratio(calls, rounds, over=first)
    for fact in calls[first].facts:
        row[fact] = {value: call.facts[fact] for value, call in calls.items()}
    return row


def _blur(*, num_steps: int = T, side: int = SIDE, batch: int = BATCH) -> Measured:
    degrade = cd.gaussian_blur(
        side, np.full(num_steps, 0.6), kernel_size=11, padding="reflect"
    )
    x, t = _batch(num_steps, side, batch)
    memory: Any = closed_form.lower(degrade, x, t).compile().memory_analysis()
    facts = {
        "temporary MB": round(memory.temp_size_in_bytes / 1e6, 2),
        "tables MB": round(degrade.operators[0].nbytes / 1e6, 2),
    }
    return Measured(functools.partial(closed_form, degrade, x, t), facts)


def _single_steps(num_steps: int) -> Callable[[], jax.Array]:
    kernels = gaussian_kernels(np.full(num_steps, 0.6), 11)
    x, t = _batch(num_steps, SIDE, BATCH)
    step = functools.partial(convolve, padding="reflect")
    tables = jnp.asarray(kernels, jnp.float32)
    return functools.partial(steps_up_to, step, x, tables, t)


def _batch(num_steps: int, side: int, batch: int) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-1, 1, (batch, side, side, 3)), jnp.float32)
    return x, jnp.asarray(rng.integers(1, num_steps + 1, batch), jnp.int32)
