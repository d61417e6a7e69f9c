"""Devices and processes that work together."""

from colddiff_jax import devices
from tests.subprocesses import free_port, start, succeed


def test_two_processes_agree_measure_compare_sample_and_save(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    arguments = ("-m", "tests.parallel_worker", address)
    succeed([start(*arguments, str(i), str(tmp_path)) for i in range(2)])


def test_a_single_process_agrees_with_itself():
    assert devices.any_process(True) and not devices.any_process(False)
    assert devices.is_main_process() and devices.num_processes() == 1
