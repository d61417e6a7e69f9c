"""One of the two processes of a run that `test_devices.py` starts."""

import sys
import zlib

import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import data, devices, distributed
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.sampling import BatchSampler
from colddiff_jax.training.scales import _measured
from colddiff_jax.training.task import build_model_and_task
from configs import digits_blur


def check_agreement(process: int) -> None:
    assert devices.any_process(process == 1)
    assert not devices.any_process(False)
    devices.check_agreement("checkpoints", 7)
    with pytest.raises(cd.InputError, match=r"have the same checkpoints: \[0, 1\]"):
        devices.check_agreement("checkpoints", process)


def check_that_both_hold_the_scales_that_process_0_measures(process: int) -> None:
    config = digits_blur.get_config("smoke")
    config.model.update({"channel_multipliers": (1,), "precondition": True})
    config.evaluation.num_images = 8
    rng = np.random.default_rng(process)
    images = rng.integers(0, 256 // (process + 1), (8, 16, 16, 1), np.uint8)
    splits = data.arrays(images, images)
    model, task = build_model_and_task(config, splits=splits)
    here = _measured(
        model.degrade,
        task.objective,
        task.data,
        task.preprocessing,
        task.seed,
        centered=True,
    )
    assert (model.scales == here) == (process == 0)
    devices.check_agreement("scales", zlib.crc32(repr(model.scales).encode()))


def check_that_a_difference_between_processes_raises(process: int) -> None:
    devices.assert_replicated(devices.replicate({"w": np.float32(3)}))
    different = devices.replicate({"w": np.float32(process)})
    with pytest.raises(AssertionError, match=r"\['w'\] differs .* device 0 and 2"):
        devices.assert_replicated(different)


def check_that_each_process_samples_independently(process: int) -> None:
    """With different numbers of images: processes that wait for each other hang."""
    double = BatchSampler(lambda shared, x: shared * x, batch_size=2)
    images = np.arange(4.0 + 3 * process, dtype=np.float32)
    np.testing.assert_array_equal(double(np.float32(2), images), 2 * images)


def check_that_a_state_is_saved_once_and_restored_by_both(folder: str) -> None:
    state = devices.replicate({"w": np.arange(3.0)})
    with open_checkpoints(folder) as saved:
        saved.save(state, 5, {"test_loss": 0.25}, {})
        saved.wait()
        devices.check_agreement("checkpoints", 5)
        assert saved.best_step() == 5
        restored = saved.restore(devices.replicated_like(state), 5)
    devices.assert_replicated(restored)
    np.testing.assert_array_equal(restored["w"], np.arange(3.0))


def main(address: str, process: int, folder: str) -> None:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 2)
    distributed.initialize(address, num_processes=2, process_id=process)
    assert devices.num_devices() == 4 and devices.num_local_devices() == 2
    assert devices.is_main_process() == (process == 0)
    check_agreement(process)
    check_that_both_hold_the_scales_that_process_0_measures(process)
    check_that_a_difference_between_processes_raises(process)
    check_that_each_process_samples_independently(process)
    check_that_a_state_is_saved_once_and_restored_by_both(folder)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
