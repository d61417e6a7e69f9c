"""Parts of on_gpu.py that measure single operations, and what all parts share.

Every operation is repeated on the device, on its own result, so that neither the calls
from Python nor waiting for the device are part of its time.
"""

import dataclasses
import functools
import importlib
import importlib.util
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from colddiff_jax.models import depthwise

DTYPES = {"bfloat16": jnp.bfloat16, "float32": jnp.float32}
ON_GPU = jax.default_backend() == "gpu"

# TFLOP/s of dense products on tensor cores (float32: TF32), by NVIDIA's data sheets.
NOMINAL_PEAKS = {
    "NVIDIA H100 80GB HBM3": {"bfloat16": 989.4, "float32": 494.7},
    "NVIDIA H100 PCIe": {"bfloat16": 756.0, "float32": 378.0},
    "NVIDIA H200": {"bfloat16": 989.4, "float32": 494.7},
}

Results = Iterator[tuple[str, Any]]
"""The results of a part by name, in JSON's types; a repeated name replaces a result."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a part of the measurements is given.

    Attributes:
        small: measure tiny sizes, to rehearse on a CPU.
        out: the folder of the results.
        deadline: when the part is stopped, in seconds since the epoch.
        peaks: the measured peaks by dtype, TFLOP/s; empty if they are unknown.
    """

    small: bool
    out: pathlib.Path
    deadline: float
    peaks: Mapping[str, float]

    @property
    def rounds(self) -> int:
        """How often the jobs that are compared take turns."""
        return 2 if self.small else 6

    def rate(self, dtype: str, flops: float, seconds: float) -> dict[str, float]:
        """Returns the FLOP/s achieved, also as shares of the device's peaks."""
        achieved = flops / seconds / 1e12
        nominal = NOMINAL_PEAKS.get(jax.devices()[0].device_kind, {})
        return {
            "TFLOP/s": round(achieved, 4),
            **{
                f"share of the {kind} peak": round(achieved / peaks[dtype], 3)
                for kind, peaks in (("measured", self.peaks), ("nominal", nominal))
                if dtype in peaks
            },
        }


def pytorch() -> Any:
    """Returns PyTorch, with XLA's defaults of TF32 and autotuning; None without it."""
    if not importlib.util.find_spec("torch"):
        return None
    torch = importlib.import_module("torch")
    if ON_GPU and not torch.cuda.is_available():
        return None
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch


def measure(
    jobs: Mapping[str, Callable[[], Any]], rounds: int, *, over: str, repeats: int
) -> dict[str, Any]:
    """Compares jobs that repeat an operation; one that fails is left out.

    The first call of each job, which compiles, is timed separately.
    """
    working, first, errors = {}, {}, {}
    for name, job in jobs.items():
        start = time.perf_counter()
        try:
            jax.block_until_ready(job())
        except Exception as error:  # Whatever it is, it must not lose the other jobs.
            errors[name] = f"{type(error).__name__}: {error}"[:400]
        else:
            working[name] = job
            first[name] = round(time.perf_counter() - start, 2)
    found: dict[str, Any] = {"first call, seconds": first, "errors": errors}
    if working:
        over = over if over in working else next(iter(working))
        compared = timing.ratio(working, rounds, over=over)
        found["milliseconds"] = {
            name: round(seconds / repeats * 1e3, 4)
            for name, seconds in compared.pop("seconds").items()
        }
        found |= compared
    return found


def repeated(operation: Callable[[Any], Any], repeats: int) -> Callable[[Any], Any]:
    """Compiles the repetition of an operation on its own result."""
    return jax.jit(
        lambda x: jax.lax.fori_loop(0, repeats, lambda _, x: operation(x), x)
    )


def peak(run: Run) -> Results:
    """Measures the rates of a large matrix product and of a large copy."""
    size, length, calls = (256, 2**20, 10) if run.small else (8192, 2**28, 10)
    torch = pytorch()
    for name, dtype in DTYPES.items():
        # Scaled so that the products keep their magnitude.
        shape, scale = (2, size, size), size**-0.5
        a, b = scale * jax.random.normal(jax.random.key(0), shape, dtype)
        jobs = {"JAX": _in_a_row(jax.jit(jnp.matmul), a, b, calls)}
        if torch:
            device = "cuda" if ON_GPU else "cpu"
            a, b = scale * torch.randn(shape, dtype=getattr(torch, name), device=device)
            jobs["PyTorch"] = _waiting(torch, _in_a_row(torch.matmul, a, b, calls))
        seconds = timing.compare(jobs, run.rounds)
        rates = {
            library: round(2 * size**3 * calls / value / 1e12, 4)
            for library, value in seconds.items()
        }
        yield name, max(rates.values())
        yield f"{name}, by library", rates
    x = jax.random.normal(jax.random.key(0), (length,))
    copy = jax.jit(lambda _, x: -x)
    seconds = timing.compare({"copy": _in_a_row(copy, None, x, calls)}, run.rounds)
    rate = 2 * x.nbytes * calls / seconds["copy"] / 1e12
    yield "copy, TB/s read and written", round(rate, 4)


def _in_a_row(function: Callable, a: Any, b: Any, calls: int) -> Callable[[], Any]:
    """Returns a job that calls b = function(a, b) without waiting in between."""

    def job() -> Any:
        result = b
        for _ in range(calls):
            result = function(a, result)
        return result

    return job


def _waiting(torch: Any, job: Callable[[], Any]) -> Callable[[], None]:
    def waiting() -> None:
        job()
        if ON_GPU:
            torch.cuda.synchronize()

    return waiting


def depthwise_ways(run: Run) -> Results:
    """Compares two ways to compute the depthwise convolutions of ConvNeXtUNet."""
    # Sides and channels of its blocks, for images of 128 x 128 pixels.
    sizes = [(128, 64), (64, 128), (32, 256), (16, 512), (16, 1024), (128, 3)]
    batch = 32
    if run.small:
        sizes, batch = [(8, 16)], 2
    ways = {
        "grouped": (depthwise.grouped_conv, depthwise.grouped_conv_gradients),
        "shifted": (depthwise.shift_and_add, depthwise.shift_and_add_gradients),
    }
    rng = np.random.default_rng(0)
    for name, dtype in DTYPES.items():
        for side, channels in sizes:
            weights = rng.uniform(size=(7, 7, channels))
            kernel = jnp.asarray(weights / weights.sum((0, 1)), dtype)
            x, g = (
                jnp.asarray(rng.uniform(size=(batch, side, side, channels)), dtype)
                for _ in range(2)
            )
            forward, gradients = {}, {}
            # The gradients of shifted images are a loop over all rows of all images.
            often, rarely = (2, 2) if run.small else (50, 5)
            for way, (conv, backward) in ways.items():
                compiled = repeated(functools.partial(_convolve, conv, kernel), often)
                forward[way] = functools.partial(compiled, x)
                compiled = repeated(
                    functools.partial(_backpropagate, backward, kernel), rarely
                )
                gradients[way] = functools.partial(compiled, (x, g, kernel))
            yield (
                f"{name}, {[batch, side, side, channels]}",
                {
                    "forward": measure(
                        forward, run.rounds, over="grouped", repeats=often
                    ),
                    "gradients": measure(
                        gradients, run.rounds, over="grouped", repeats=rarely
                    ),
                },
            )


def _convolve(conv: Callable, kernel: jax.Array, x: jax.Array) -> jax.Array:
    return conv(x, kernel)


def _backpropagate(backward: Callable, kernel: jax.Array, carry: tuple) -> tuple:
    # Image and cotangent change places: nothing is the same in every repetition.
    x, g, _ = carry
    x_gradient, kernel_gradient = backward(x, kernel, g)
    return g, x_gradient, kernel_gradient


def attention(run: Run) -> Results:
    """Compares implementations of the attention of UNet, in bfloat16."""
    # Batch, pixels and channels: the level of 16 x 16 pixels, and the middle.
    shapes = [(128, 256, 256), (128, 16, 256)]
    repeats = 50
    if run.small:
        shapes, repeats = [(2, 16, 8)], 2
    implementations: dict[str, Literal["xla", "cudnn"] | None] = {
        "default": None,
        "xla": "xla",
        "cudnn": "cudnn",
    }
    rng = np.random.default_rng(0)
    for batch, pixels, channels in shapes:
        q, k, v, g = (
            jnp.asarray(rng.normal(size=(batch, pixels, 1, channels)), jnp.bfloat16)
            for _ in range(4)
        )
        forward, both = {}, {}
        for name, implementation in implementations.items():
            attend = functools.partial(
                jax.nn.dot_product_attention, implementation=implementation
            )
            compiled = repeated(functools.partial(_attend, attend, k, v), repeats)
            forward[name] = functools.partial(compiled, q)
            compiled = repeated(
                functools.partial(_attend_and_back, attend, k, v), repeats
            )
            both[name] = functools.partial(compiled, (q, g, q, k))
        row = {
            "forward": measure(forward, run.rounds, over="xla", repeats=repeats),
            "forward and backward": measure(
                both, run.rounds, over="xla", repeats=repeats
            ),
        }
        expected = jax.nn.dot_product_attention(q, k, v, implementation="xla")
        row["largest difference from xla"] = {
            name: float(
                jnp.abs(
                    jax.nn.dot_product_attention(
                        q, k, v, implementation=implementations[name]
                    )
                    - expected
                ).max()
            )
            for name in row["forward"]["milliseconds"]
        }
        yield f"bfloat16, {[batch, pixels, 1, channels]}", row


def _attend(attend: Callable, k: jax.Array, v: jax.Array, q: jax.Array) -> jax.Array:
    return attend(q, k, v)


def _attend_and_back(
    attend: Callable, k: jax.Array, v: jax.Array, carry: tuple
) -> tuple:
    # The output is the next query, so that no part is the same in every repetition.
    q, g, _, _ = carry
    out, backward = jax.vjp(attend, q, k, v)
    q_gradient, k_gradient, v_gradient = backward(g)
    return out, v_gradient, q_gradient, k_gradient
