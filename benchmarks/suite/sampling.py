"""Algorithm 2 with the small network at the published T.

Ours is one compiled scan. In PyTorch, D(x0_hat, t) and D(x0_hat, t - 1) are computed by
t and by t - 1 single steps, as in the official code, or by our closed form. All have
the same weights, and their images must agree.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

import colddiff_jax as cd
from benchmarks import timing
from benchmarks.single_steps import gaussian_kernels
from benchmarks.suite import Form, small
from benchmarks.suite.optional import theirs
from colddiff_jax import schedules


class Sizes(NamedTuple):
    batch: int
    rounds: int


SIZES = {"smoke": Sizes(2, 1), "short": Sizes(16, 2), "full": Sizes(64, 15)}
CIFAR_STDS = schedules.linear(50, start=0.35, increment=0.01)


class Blur(NamedTuple):
    """A published blur: its standard deviations and padding."""

    stds: np.ndarray
    padding: Any


BLURS = {
    "blur, MNIST (T = 20)": Blur(np.full(small.T, small.STD), "circular"),
    "blur, CIFAR-10 (T = 50)": Blur(CIFAR_STDS, "reflect"),
}


def measure(form: Form) -> dict[str, Any]:
    """Measures both published blurs of 32 x 32 images, on one channel."""
    net = small.build(form)
    blurs = dict([*BLURS.items()][:1]) if form == "smoke" else BLURS
    return {name: _row(net, blur, SIZES[form]) for name, blur in blurs.items()}


def _row(net: small.Small, blur: Blur, sizes: Sizes) -> dict[str, Any]:
    side, size, num_steps = 32, small.KERNEL, len(blur.stds)
    degrade = cd.gaussian_blur(side, blur.stds, kernel_size=size, padding=blur.padding)
    network, params, scales = extended(net, num_steps)
    x_T = degrade(net.batch(sizes.batch), num_steps)
    restore_fn = jax.tree_util.Partial(network.apply, {"params": params})
    sample = jax.jit(cd.sample_alg2)
    calls: dict[str, Callable] = {
        "ours": lambda: sample(restore_fn, degrade, x_T).x_0,
    }
    if theirs:
        kernels = gaussian_kernels(blur.stds, size)
        steps = theirs.degrading.blurs(kernels, 1, blur.padding)
        forms = {
            "single steps": functools.partial(theirs.degrading.up_to, steps),
            "closed form": theirs.degrading.Products(np.asarray(degrade.operators[0])),
        }
        for layout, memory_format in theirs.networks.LAYOUTS.items():
            module = theirs.networks.SmallUNet(
                net.model.config["model"], 1, scales, params
            ).eval()
            module = module.to(memory_format=memory_format)
            for name, form in forms.items():
                if name == "single steps" and layout != "channels-last":
                    continue  # The layout only matters to the network.
                calls[f"PyTorch, {name}, {layout}"] = functools.partial(
                    theirs.sampling.alg2,
                    module,
                    form,
                    theirs.to_tensor(x_T),
                    num_steps,
                )
        expected = calls["ours"]()
        for name, call in calls.items():
            if name != "ours":
                found = theirs.to_images(call()[0])
                np.testing.assert_allclose(found, expected, atol=2e-3, err_msg=name)
    row = timing.ratio(calls, sizes.rounds, over="ours")
    return {"batch": list(x_T.shape), "network calls": num_steps} | row


def extended(net: small.Small, num_steps: int) -> tuple[Any, Any, Any]:
    """Returns network, weights and scales for another T; scales are repeated."""
    scales = net.scales
    entries = np.minimum(np.arange(num_steps), len(scales.skip) - 1)
    scales = type(scales)(*(tuple(np.asarray(s)[entries].tolist()) for s in scales))
    return net.model.network.clone(scales=scales), net.state.params, scales
