"""Two processes train as one, through the program that users type."""

import jax
import numpy as np

from colddiff_jax import parallel
from colddiff_jax.runs import load_run
from colddiff_jax.training import train_and_evaluate
from configs import mnist_mask
from tests.subprocesses import free_port, start, succeed


def smoke(num_steps):
    config = mnist_mask.get_config("smoke")
    config.model.channel_multipliers = (1,)
    config.training.num_steps = num_steps
    return config


def test_two_processes_with_two_devices_train_as_one_with_four_and_resume_on_one(
    tmp_path,
):
    assert jax.local_device_count() == 4
    address = f"127.0.0.1:{free_port()}"
    workdir = str(tmp_path / "two")
    command = ["train.py", "--config=configs/mnist_mask.py:smoke"]
    command += [f"--workdir={workdir}", "--config.model.channel_multipliers=(1,)"]
    command += [f"--coordinator={address}", "--num_processes=2"]
    environment = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
    workers = [start(*command, f"--process_id={i}", **environment) for i in range(2)]
    alone = train_and_evaluate(smoke(6), str(tmp_path / "one"))
    first, second = succeed(workers)
    assert "4 cpu device(s), starting at step 0" in first
    assert "step 6/6" in first and "step 6/6" not in second
    together = load_run(workdir).params
    # Sums over devices are rounded in another order, which Adam enlarges: to a
    # hundredth of the distance travelled, which is about 3e-3.
    for a, b in zip(
        jax.tree.leaves(together), jax.tree.leaves(alone.ema_params), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=3e-5)
    resumed = train_and_evaluate(smoke(8), workdir)
    assert resumed.step == 8
    parallel.assert_replicated(resumed)
