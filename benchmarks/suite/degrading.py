"""D(x, t) at a random t per image: our closed form against single steps.

The single steps are taken in JAX, compiled as one program, and in PyTorch, as the
official code takes them: one after the other up to the largest t of the batch, all
levels kept, and one chosen per image. PyTorch is also given our closed form, as tables.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks import single_steps
from benchmarks.suite import Form, turns
from benchmarks.suite.optional import theirs
from colddiff_jax import schedules
from colddiff_jax.degradations.mask import cumulative_masks, middle


class Case(NamedTuple):
    """A degradation, and the single steps that define it.

    Attributes:
        degrade: D.
        channels: of the images.
        step: takes one step in JAX from images and one entry of `tables`.
        tables: one entry per step, [T, ...].
        torch_steps: returns the steps in PyTorch.
        torch_closed: returns the closed form in PyTorch.
    """

    degrade: Any
    channels: int
    step: single_steps.Step
    tables: np.ndarray
    torch_steps: Callable[[], Any]
    torch_closed: Callable[[], Any]


class Sizes(NamedTuple):
    batch: int
    rounds: int
    large_batch: int  # Of images of 128 x 128; 0 for none.


SIZES = {
    "smoke": Sizes(2, 1, 0),
    "short": Sizes(32, 5, 0),
    "full": Sizes(32, 15, 8),
}


def measure(form: Form) -> dict[str, Any]:
    """Measures every degradation that is defined by steps."""
    sizes = SIZES[form]
    jobs = [(name, case, 32, sizes.batch) for name, case in cases().items()]
    if form == "smoke":
        jobs = [job for job in jobs if "CIFAR" in job[0]]
    if sizes.large_batch:
        jobs += [
            (name, case, 128, sizes.large_batch) for name, case in large_cases().items()
        ]
    return {
        name: _compare(case, (batch, side, side, case.channels), sizes.rounds)
        for name, case, side, batch in jobs
    }


def cases() -> dict[str, Case]:
    """Returns the published degradations of 32 x 32 images."""
    special = schedules.linear(50, start=0.35, increment=0.01)
    sides = schedules.halving(32, num_steps=3)
    return {
        "blur, MNIST (T = 20)": blur(32, np.full(20, 7.0), 11, "circular", 1),
        "blur, CIFAR-10 (T = 50)": blur(32, special, 11, "reflect", 3),
        "mask, CIFAR-10 (T = 50)": mask(32, 0.1 * (np.arange(50) + 11)),
        "pixelate, CIFAR-10 (T = 3)": pixelate(32, [int(s) for s in sides]),
        "desaturate, CIFAR-10 (T = 20)": desaturate(1 - np.arange(1, 21) / 20),
        "fade (T = 50)": fade(0.9 ** np.arange(1, 51)),
    }


def large_cases() -> dict[str, Case]:
    """Returns the published degradations of 128 x 128 images."""
    growing = schedules.exponential(200, rate=0.01)
    return {
        "blur, CelebA (T = 200)": blur(128, growing, 15, "reflect", 3),
        "mask, CelebA (T = 100)": mask(128, 0.2 * (np.arange(100) + 1)),
        "pixelate, CelebA (T = 4)": pixelate(128, [64, 32, 16, 8]),
    }


def blur(side: int, stds: np.ndarray, size: int, padding: Any, channels: int) -> Case:
    """Returns repeated Gaussian kernels."""
    degrade = cd.gaussian_blur(side, stds, kernel_size=size, padding=padding)
    kernels = single_steps.gaussian_kernels(stds, size)
    return Case(
        degrade,
        channels,
        functools.partial(single_steps.convolve, padding=padding),
        kernels,
        lambda: theirs.degrading.blurs(kernels, channels, padding),
        lambda: theirs.degrading.Products(np.asarray(degrade.operators[0])),
    )


def mask(side: int, stds: np.ndarray) -> Case:
    """Returns products of inverted Gaussians."""
    shape = (side, side)
    tables = [
        cumulative_masks(shape, middle(shape), np.array([std]))[1] for std in stds
    ]
    degrade = cd.gaussian_mask(side, stds)
    factors = np.stack(tables)
    return Case(
        degrade,
        3,
        single_steps.multiply,
        factors[..., None],
        lambda: theirs.degrading.masks(factors),
        lambda: theirs.degrading.Factors(np.asarray(degrade.masks)[1:]),
    )


def pixelate(side: int, sides: list[int]) -> Case:
    """Returns repeated shrinking and enlarging."""
    degrade = cd.pixelate(side, sides)
    steps = [np.asarray(cd.pixelate(side, [s]).operators[0][0]) for s in sides]
    return Case(
        degrade,
        3,
        single_steps.resize,
        np.stack(steps),
        lambda: theirs.degrading.resizings(sides),
        lambda: theirs.degrading.Products(np.asarray(degrade.operators[0])),
    )


def desaturate(kept: np.ndarray) -> Case:
    """Returns repeated mixing with the mean of the channels."""
    factors = kept / np.concatenate([[1], kept[:-1]])
    return Case(
        cd.desaturate(kept),
        3,
        single_steps.mix_channels,
        factors,
        lambda: theirs.degrading.desaturations(factors, 3),
        lambda: theirs.degrading.TowardsMean(kept),
    )


def fade(kept: np.ndarray) -> Case:
    """Returns repeated products with a number."""
    factors = (kept / np.concatenate([[1], kept[:-1]]))[:, None, None]
    return Case(
        cd.fade(kept),
        3,
        single_steps.multiply,
        factors[..., None],
        lambda: theirs.degrading.masks(factors),
        lambda: theirs.degrading.Factors(kept[:, None, None]),
    )


def _compare(case: Case, shape: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Returns the row of one degradation; all results must agree."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)
    t = jnp.asarray(rng.integers(1, case.degrade.num_steps + 1, len(x)), jnp.int32)
    tables = jnp.asarray(case.tables, jnp.float32)
    calls: dict[str, Callable] = {
        "ours": functools.partial(single_steps.closed_form, case.degrade, x, t),
        "single steps in JAX": functools.partial(
            single_steps.steps_up_to, case.step, x, tables, t
        ),
    }
    expected = calls["ours"]()
    np.testing.assert_allclose(calls["single steps in JAX"](), expected, atol=1e-4)
    if theirs:
        x_torch, t_torch = theirs.to_tensor(x), theirs.to_steps(t)
        pytorch = {
            "single steps in PyTorch": functools.partial(
                theirs.degrading.at_random_steps, case.torch_steps(), x_torch, t_torch
            ),
            "closed form in PyTorch": functools.partial(
                case.torch_closed(), x_torch, t_torch
            ),
        }
        for call in pytorch.values():
            found = theirs.to_images(call())
            np.testing.assert_allclose(found, expected, atol=1e-4)
        calls |= pytorch
    return {"batch": list(shape)} | turns.ratio(calls, rounds)
