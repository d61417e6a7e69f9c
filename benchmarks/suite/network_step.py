"""The forward pass and the training step of a network: loss, gradient and Adam."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax


class NetworkStep:
    """A compiled training step on one batch, which updates its state in place.

    Args:
        network: the network.
        params: its weights.
        x: images, float32 [B, H, W, C].
        t: steps, int32 [B].

    Attributes:
        program: the compiled step.
    """

    def __init__(self, network: nn.Module, params: Any, x: jax.Array, t: jax.Array):
        params = jax.tree.map(jnp.copy, params)  # They are donated.
        optimizer: Any = optax.adam(2e-5)
        self._network = network
        self._state = (params, optimizer.init(params))
        self._batch = (x, t, jax.random.split(jax.random.key(1), len(x)))

        def train(state: Any, x: jax.Array, t: jax.Array, keys: jax.Array) -> Any:
            def loss(params: Any) -> jax.Array:
                x0_hat = network.apply({"params": params}, x, t, dropout_keys=keys)
                return jnp.abs(x0_hat - x).mean()

            params, opt_state = state
            updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
            return optax.apply_updates(params, updates), opt_state

        step = jax.jit(train, donate_argnums=0)
        self.program = step.lower(self._state, *self._batch).compile()

    def __call__(self) -> Any:
        self._state = self.program(self._state, *self._batch)
        return self._state

    @functools.cached_property
    def forward_program(self) -> Any:
        """The compiled forward pass, without dropout."""
        apply = jax.jit(
            lambda params, *x_t: self._network.apply({"params": params}, *x_t)
        )
        return apply.lower(self._state[0], *self._batch[:2]).compile()

    def forward(self) -> jax.Array:
        """Restores the batch."""
        return self.forward_program(self._state[0], *self._batch[:2])

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._state[0]))


def random_params(network: nn.Module, shape: tuple[int, ...]) -> Any:
    """Draws weights for images of a shape, without compiling their initialisation."""
    x, t = jnp.zeros(shape), jnp.ones(shape[0], jnp.int32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, t)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
        shapes,
    )
