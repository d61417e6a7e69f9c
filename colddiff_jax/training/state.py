"""The state of a training run."""

from typing import Any

import chex
import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """Everything needed to resume a run; contains no keys and no functions.

    Attributes:
        step: number of optimizer steps taken, int32 [].
        params: network parameters, float32.
        ema_params: their moving average, used for every evaluation and sample.
        opt_state: the state of the optimizer.

    Example:
        >>> state = create_state({"kernel": jnp.zeros(3)}, optax.adam(1e-3))
        >>> int(state.step)
        0
    """

    step: chex.Array
    params: Any
    ema_params: Any
    opt_state: optax.OptState

    def __repr__(self) -> str:
        size = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return f"TrainState({size:,} parameters, step {self.step})"


def create_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step.

    Args:
        params: the initial parameters.
        optimizer: the optimizer.

    Returns:
        A state at step 0 whose moving average equals its parameters.
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # A copy: the state is donated, and a buffer cannot be donated twice.
        ema_params=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
    )
