"""States to save in checkpoints."""

import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import devices
from colddiff_jax.io.checkpoints import open_checkpoints


def state_of(step):
    """Returns a state that depends on its step and fills several files."""
    noise = np.random.default_rng(step).normal(size=(60, 30))
    return {
        "step": np.int32(step),
        "params": {"w": noise.astype(np.float32), "b": np.full(5, step, jnp.bfloat16)},
    }


LIKE = devices.replicated_like(state_of(0))


def save_steps(workdir, losses, best_by="test_loss"):
    with open_checkpoints(str(workdir), best_by) as saved:
        for step, loss in losses.items():
            scores = None if loss is None else {best_by: loss}
            saved.save(state_of(step), step, scores, {"step": step})


def assert_holds(state, step):
    devices.assert_replicated(state)
    assert jax.tree.all(
        jax.tree.map(lambda a, b: bool((a == b).all()), state, state_of(step))
    )
