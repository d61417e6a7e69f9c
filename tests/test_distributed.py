"""Joining the processes of a run, and the errors when that fails."""

import socket

import pytest

import colddiff_jax as cd
from colddiff_jax import distributed
from tests.subprocesses import finish, free_port, start


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("10.0.0.1:1234", 2), "or none, got 10.0.0.1:1234, 2 and None"),
        ((None, 2, 0), "or none, got None, 2 and 0"),
        (("10.0.0.1:1234", 2, 2), r"process_id must be in 0\.\.1, got 2"),
        (("10.0.0.1:1234", 2, -1), r"process_id must be in 0\.\.1, got -1"),
        (("10.0.0.1", 2, 0), "must be host:port, .* got 10.0.0.1"),
        (("10.0.0.1:http", 2, 0), "must be host:port, .* got 10.0.0.1:http"),
        (("10.0.0.1:70000", 2, 0), "must be host:port, .* got 10.0.0.1:70000"),
    ],
)
def test_wrong_arguments_raise(arguments, message):
    with pytest.raises(cd.InputError, match=message):
        distributed.initialize(*arguments)


def test_an_unreachable_process_0_raises():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(cd.InputError, match=f"no process 0 at coordinator {address}"):
        distributed.initialize(address, 2, 1, timeout=0)


def test_a_port_in_use_raises():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(cd.InputError, match=f"port {port} of coordinator is not"):
            distributed.initialize(f"127.0.0.1:{port}", 2, 0)


def test_no_arguments_without_a_cluster_raise():
    code = "from colddiff_jax import distributed; distributed.initialize()"
    (output,) = finish([start("-c", code)])
    assert "InputError: no TPU pod, Slurm" in output.splitlines()[-1]
