"""The small and the published networks, each with a batch and its twin in PyTorch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks.suite import Form, small
from benchmarks.suite.network_step import NetworkStep, random_params
from benchmarks.suite.optional import theirs


class Pair(NamedTuple):
    """A network, a batch, and what makes the same network in PyTorch.

    Attributes:
        network: ours.
        params: its weights.
        x: images, float32 [B, H, W, C].
        t: steps, int32 [B].
        twin: returns the module of PyTorch.
    """

    network: nn.Module
    params: Any
    x: jax.Array
    t: jax.Array
    twin: Callable[[], Any]

    def ours(self) -> NetworkStep:
        """Returns our training step."""
        return NetworkStep(self.network, self.params, self.x, self.t)

    def theirs(self, layout: str, **options: bool) -> Any:
        """Returns PyTorch's training step, a `theirs.training.Step`."""
        return theirs.training.Step(self.twin(), self.x, self.t, layout, **options)


PUBLISHED = {"ConvNeXtUNet": (cd.ConvNeXtUNet, 1), "UNet": (cd.UNet, 3)}
BATCH, SIDE = 32, 32  # Of the published networks.


def published(name: str) -> Pair:
    """Returns a published network with random weights and random images."""
    make, channels = PUBLISHED[name]
    shape = (BATCH, SIDE, SIDE, channels)
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    network = make()
    return Pair(
        network,
        random_params(network, shape),
        jnp.asarray(x, jnp.float32),
        _steps(BATCH),
        lambda: theirs.networks.PUBLISHED[name](channels),
    )


def small_network(form: Form) -> Pair:
    """Returns the small network; its twin, with the same weights, must agree."""
    net = small.build(form)
    params, x = net.state.params, net.batch(net.config.training.batch_size)

    def twin() -> Any:
        fields = net.model.config["model"]
        return theirs.networks.SmallUNet(fields, 1, net.scales, params)

    pair = Pair(net.model.network, params, x, _steps(len(x)), twin)
    if theirs:
        restored = net.model.restore_fn(params)(x, pair.t)
        found = twin()(theirs.to_tensor(x), theirs.to_steps(pair.t))
        np.testing.assert_allclose(restored, theirs.to_images(found), atol=1e-4)
    return pair


def _steps(batch: int) -> jax.Array:
    return jnp.arange(batch, dtype=jnp.int32) % small.T + 1
