"""Two processes train as one, and what they get wrong is named."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import parallel
from tests.conftest import ROOT
from tests.parallel_worker import train

MODULE = "tests.parallel_worker"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(*arguments: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes: list[subprocess.Popen], timeout: float = 300) -> list[str]:
    """What they said, once all have ended; whatever happens, none is left."""
    try:
        return [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.usefixtures("quick_compilation")
def test_two_processes_with_two_devices_train_as_one_with_four(tmp_path):
    assert jax.local_device_count() == 4
    address = f"127.0.0.1:{free_port()}"
    workers = [start("-m", MODULE, address, str(i), str(tmp_path)) for i in range(2)]
    expected = jax.tree.leaves(train(num_steps=5))
    said = finish(workers)
    for process, output in zip(workers, said, strict=True):
        assert process.returncode == 0, output
    found, others = (np.load(tmp_path / f"process_{i}.npz") for i in range(2))
    assert len(found) == len(expected)
    for name, one in zip(found, expected, strict=True):
        np.testing.assert_array_equal(found[name], others[name])
        np.testing.assert_allclose(found[name], one, atol=1e-6)


def test_alone_nothing_is_asked_or_copied():
    assert parallel.any_process(True) and not parallel.any_process(False)
    assert parallel.is_main_process() and parallel.num_processes() == 1
    state = parallel.replicate({"w": np.ones(3)})
    assert parallel.global_view(state) is state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("10.0.0.1:1234", 2), "go together, got 10.0.0.1:1234, 2 and None"),
        ((None, 2, 0), "go together, got None, 2 and 0"),
        (("10.0.0.1:1234", 2, 2), r"process_id must be in 0\.\.1, got 2"),
        (("10.0.0.1:1234", 2, -1), r"process_id must be in 0\.\.1, got -1"),
        (("10.0.0.1", 2, 0), "must be host:port, .* got 10.0.0.1"),
        (("10.0.0.1:http", 2, 0), "must be host:port, .* got 10.0.0.1:http"),
        (("10.0.0.1:70000", 2, 0), "must be host:port, .* got 10.0.0.1:70000"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(cd.InputError, match=message):
        processes.initialize(*arguments)


def test_a_process_0_that_is_not_there_is_named():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(cd.InputError, match=f"no process 0 at coordinator {address}"):
        processes.initialize(address, 2, 1, timeout=0)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(cd.InputError, match=f"port {port} of coordinator is not"):
            processes.initialize(f"127.0.0.1:{port}", 2, 0)


def test_without_arguments_or_a_cluster_the_arguments_are_asked_for():
    code = "from colddiff_jax import parallel; processes.initialize()"
    (said,) = finish([start("-c", code)])
    assert "InputError: no TPU pod, Slurm" in said.splitlines()[-1]
