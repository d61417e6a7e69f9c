"""The state before the first step."""

import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.training.optimizers import make_optimizer
from colddiff_jax.training.state import create_state
from tests.networks import random_parameters, tiny_unet


def test_the_first_average_equals_the_parameters_and_shares_no_buffer():
    optimizer = make_optimizer(learning_rate=1e-3)
    params = random_parameters(tiny_unet(), (16, 16, 1))
    state = jax.jit(lambda params: create_state(params, optimizer))(params)
    assert state.step == 0 and state.step.dtype == jnp.int32
    pairs = zip(
        jax.tree.leaves(state.params), jax.tree.leaves(state.ema_params), strict=True
    )
    for new, average in pairs:
        np.testing.assert_array_equal(new, average)
        assert new.unsafe_buffer_pointer() != average.unsafe_buffer_pointer()
