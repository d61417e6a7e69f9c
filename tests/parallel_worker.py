"""One of two processes that train together; `test_parallel.py` starts them."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

import colddiff_jax as cd
from colddiff_jax import checkpoints, parallel
from colddiff_jax.losses import l1
from colddiff_jax.sampling import BatchSampler
from colddiff_jax.training import step
from colddiff_jax.training.state import TrainState, warmup_ema
from tests.networks import random_parameters, tiny_unet

SIZE = 8
BATCH = 8


def train(num_steps: int) -> TrainState:
    """Trains on this process's share of each batch.

    Plain descent, whose differences are those of the gradients, and not Adam's.
    """
    model, optimizer = tiny_unet(patch_size=2), optax.sgd(0.5)
    params = random_parameters(model, (SIZE, SIZE, 1))
    average = jax.tree.map(jnp.copy, params)
    state = TrainState(jnp.int32(0), params, average, optimizer.init(params))
    degrade = cd.gaussian_mask(SIZE, 6 * [2.0], center="random")
    state, degrade, key = parallel.replicate((state, degrade, step.stream(0, "train")))
    run = parallel.parallel_train_step(
        step.make_train_step(model, optimizer, warmup_ema(decay=0.9), l1())
    )
    share = BATCH // parallel.num_processes()
    start = parallel.process_index() * share
    rng = np.random.default_rng(0)
    for _ in range(num_steps):
        batch = rng.integers(0, 256, (BATCH, SIZE, SIZE, 1), dtype=np.uint8)
        mine = parallel.shard(
            batch[start : start + share], parallel.num_local_devices()
        )
        old = state
        state, metrics = run(state, mine, degrade, key)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))
    parallel.assert_replicated((state, metrics))
    return state


def check_agreement(process: int) -> None:
    assert parallel.any_process(process == 1)
    assert not parallel.any_process(False)


def check_that_a_difference_between_processes_is_caught(process: int) -> None:
    different = parallel.replicate({"w": np.float32(process)})
    try:
        parallel.assert_replicated(different)
    except AssertionError as error:
        assert "['w'] differs between device 0 and 2" in str(error), error
    else:
        raise AssertionError("the difference was not found")


def check_that_each_samples_on_its_own(process: int) -> None:
    """Other numbers of images: had they to wait for each other, they would hang."""
    double = BatchSampler(lambda shared, x: shared * x, batch_size=2)
    images = np.arange(4.0 + 3 * process, dtype=np.float32)
    np.testing.assert_array_equal(double(np.float32(2), images), 2 * images)


def check_that_a_state_is_saved_and_restored(state: TrainState, folder: str) -> None:
    with checkpoints.open_checkpoints(folder) as saved:
        saved.save(parallel.global_view(state), 5, 0.25)
        like = parallel.replicated_like(state)
    with checkpoints.open_checkpoints(folder) as saved:
        assert saved.best_step() == 5
        restored = saved.restore(like, 5)
    parallel.assert_replicated(restored)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def main(address: str, process: int, folder: str) -> None:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_disable_most_optimizations", True)  # Compiles faster.
    processes.initialize(address, num_processes=2, process_id=process)
    assert parallel.num_devices() == 4 and parallel.num_local_devices() == 2
    assert parallel.is_main_process() == (process == 0)
    state = train(num_steps=5)
    check_agreement(process)
    check_that_a_difference_between_processes_is_caught(process)
    check_that_each_samples_on_its_own(process)
    check_that_a_state_is_saved_and_restored(state, folder)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    np.savez(pathlib.Path(folder) / f"process_{process}.npz", *leaves)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
