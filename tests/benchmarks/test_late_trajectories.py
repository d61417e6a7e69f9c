"""Training on trajectories: what is learned from, and that the steps are taken."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks import late_trajectories, levers
from benchmarks.late_trajectories import WithTrajectories
from colddiff_jax import prng
from colddiff_jax.data import Batch
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.task import build_model_and_task, start_state

T = 6
BLUR = cd.gaussian_blur(8, T * [1.0], kernel_size=3)
BATCH = Batch(np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), np.uint8))


class Half(nn.Module):
    """R(x, t) = x / 2."""

    @nn.compact
    def __call__(self, x, t, **_):
        return 0.5 * x


def test_the_clean_loss_is_kept_and_that_of_every_x_t_but_x_0_is_added():
    keys = prng.indexed_keys(prng.stream(0, "losses"), jnp.arange(64))
    first, _ = prng.split_keys(jax.random.clone(keys), 2)
    clean = Objective().losses(Half(), {}, BLUR, BATCH, first)
    # The image of index k of a trajectory, x_{T - k}, is 2 (k + 1).
    states = jnp.broadcast_to(
        2.0 * jnp.arange(1, T + 2)[:, None, None, None, None], (T + 1, 32, 8, 8, 1)
    )
    objective = WithTrajectories(x_0=jnp.zeros((32, 8, 8, 1)), trajectories=states)
    losses = objective.losses(Half(), {}, BLUR, BATCH, keys)
    np.testing.assert_array_equal(losses[:64], clean)
    assert set(losses[64:].tolist()) == set(range(1, T + 1))


def test_trajectories_are_those_of_algorithm_2_by_the_given_weights():
    walked = late_trajectories._walk(
        Half(), {}, BLUR, BATCH, prng.stream(0, "trajectories")
    )
    x_0 = jnp.asarray(BATCH.images[:32]) / 127.5 - 1
    np.testing.assert_allclose(walked["x_0"], x_0, atol=1e-6)
    expected = cd.sample_alg2(lambda x, t: 0.5 * x, BLUR, BLUR(x_0, T)).x_0
    assert len(walked["trajectories"]) == T + 1
    np.testing.assert_allclose(walked["trajectories"][0], BLUR(x_0, T), atol=1e-6)
    np.testing.assert_allclose(walked["trajectories"][-1], expected, atol=1e-6)


def test_the_remaining_steps_are_taken_and_learn_from_both(monkeypatch):
    config = levers.read_config("configs/digits_blur.py:smoke", "", 0)
    config.data.update({"source": "digits"})
    del config.data["path"]
    model, task = build_model_and_task(config)
    task = dataclasses.replace(
        task, training=dataclasses.replace(task.training, num_steps=12)
    )
    seen = []
    inner = WithTrajectories.losses

    def losses(self, *args):
        found = inner(self, *args)
        jax.debug.callback(lambda shape: seen.append(shape.item()), found.shape[0])
        return found

    monkeypatch.setattr(WithTrajectories, "losses", losses)
    state = start_state(model, task)
    before = jax.tree.map(np.asarray, state.ema_params)
    params = late_trajectories.train(model, task, state, 9)
    jax.effects_barrier()
    assert seen == 3 * [task.training.batch_size * 3 // 2]
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), before, params)
    assert max(jax.tree.leaves(moved)) > 0
