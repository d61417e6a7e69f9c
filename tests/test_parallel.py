"""Devices and processes."""

from colddiff_jax import parallel
from tests.subprocesses import free_port, start, succeed


def test_two_processes_agree_compare_sample_and_save(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    arguments = ("-m", "tests.parallel_worker", address)
    succeed([start(*arguments, str(i), str(tmp_path)) for i in range(2)])


def test_alone_nothing_is_asked():
    assert parallel.any_process(True) and not parallel.any_process(False)
    assert parallel.is_main_process() and parallel.num_processes() == 1
