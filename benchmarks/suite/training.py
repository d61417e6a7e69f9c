"""Training steps of the small and of the published networks.

A step is the loss, its gradient and Adam, on one batch. PyTorch runs in eager mode with
contiguous and with channels-last images, with all threads; for the small network also
with one, and in the full form also in bfloat16 and compiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks import timing
from benchmarks.suite import Form, small, turns
from benchmarks.suite.network_step import NetworkStep
from benchmarks.suite.optional import theirs


class Sizes(NamedTuple):
    rounds: int
    published_rounds: int  # 0 for none of the published networks.
    variants: bool  # bfloat16 and torch.compile.


SIZES = {
    "smoke": Sizes(1, 0, False),
    "short": Sizes(9, 2, False),
    "full": Sizes(25, 7, True),
}
PUBLISHED = {
    "ConvNeXtUNet": (cd.ConvNeXtUNet, 1),
    "UNet": (cd.UNet, 3),
}
BATCH, SIDE = 32, 32  # Of the published networks.


def measure(form: Form) -> dict[str, Any]:
    """Measures all networks."""
    sizes = SIZES[form]
    rows = {"small network": _small(form, sizes)}
    if sizes.published_rounds:
        for name in PUBLISHED:
            rows[name] = _published(name, sizes)
            jax.clear_caches()  # Compiled programs take gigabytes.
    return rows


def _small(form: Form, sizes: Sizes) -> dict[str, Any]:
    net = small.build(form)
    x = net.batch(net.config.training.batch_size)
    t = jnp.arange(len(x), dtype=jnp.int32) % small.T + 1
    ours = NetworkStep(net.model.network, x, t, net.state.params)
    calls: dict[str, Callable] = {"ours": ours}
    facts: dict[str, Any] = {"batch": list(x.shape), "parameters": ours.size}
    if theirs:

        def network() -> Any:
            return theirs.networks.SmallUNet(
                net.model.config["model"], 1, net.scales, net.state.params
            )

        restored = net.model.restore_fn(net.state.params)(x, t)
        expected = network()(theirs.to_tensor(x), theirs.to_steps(t))
        np.testing.assert_allclose(restored, theirs.to_images(expected), atol=1e-4)
        more, absent = _pytorch(network, x, t, sizes)
        one = theirs.training.Step(network(), x, t, "channels-last")
        calls |= more
        calls["PyTorch, channels-last, 1 thread"] = theirs.with_threads(1, one)
        facts |= absent
    return facts | turns.ratio(calls, sizes.rounds)


def _published(name: str, sizes: Sizes) -> dict[str, Any]:
    make, channels = PUBLISHED[name]
    rng = np.random.default_rng(0)
    shape = (BATCH, SIDE, SIDE, channels)
    x = jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)
    t = jnp.arange(BATCH, dtype=jnp.int32) % small.T + 1
    ours = NetworkStep(make(), x, t, None)
    calls: dict[str, Callable] = {"ours": ours}
    facts: dict[str, Any] = {"batch": list(shape), "parameters": ours.size}
    if theirs:
        more, absent = _pytorch(
            lambda: theirs.networks.PUBLISHED[name](channels), x, t, sizes
        )
        calls, facts = calls | more, facts | absent
    return facts | timing.ratio(calls, sizes.published_rounds, over="ours")


def _pytorch(
    network: Callable[[], Any], x: jax.Array, t: jax.Array, sizes: Sizes
) -> tuple[dict[str, Callable], dict[str, str]]:
    """Returns PyTorch's steps, and why some are absent."""
    step = theirs.training.Step
    calls: dict[str, Callable] = {
        f"PyTorch, {layout}": step(network(), x, t, layout)
        for layout in theirs.networks.LAYOUTS
    }
    if not sizes.variants:
        return calls, {}
    layout = "channels-last"
    calls["PyTorch, bfloat16"] = step(network(), x, t, layout, bfloat16=True)
    compiled = step(network(), x, t, layout, compiled=True)
    try:
        compiled()
    except Exception as error:  # Whatever its compiler raises, such as without C++.
        return calls, {"torch.compile": f"absent: {type(error).__name__}"}
    return calls | {"PyTorch, torch.compile": compiled}, {}
