"""Joins the processes of one run, on one machine or several, and shares values."""

import socket
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from colddiff_jax.checks import InputError


def initialize(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: int = 300,
) -> None:
    """Joins the other processes of a run; call it before anything uses a device.

    JAX terminates all processes if one dies (after 100 s without a heartbeat) or exits,
    with or without an error, more than 300 s before another.

    Args:
        coordinator: "host:port" at which the others reach process 0. Omit all three on
            a cluster that JAX detects: a TPU pod, Slurm, Open MPI or Kubernetes.
        num_processes: the number of processes.
        process_id: the index of this process, 0..num_processes - 1.
        timeout: seconds to wait for process 0. Process 0 waits equally long for the
            others, after which JAX terminates it with DEADLINE_EXCEEDED.

    Raises:
        InputError: missing or invalid arguments, a port that is in use, no process 0,
            or no cluster.

    Example:
        >>> from colddiff_jax import distributed
        >>> distributed.initialize(  # doctest: +SKIP
        ...     "10.0.0.1:1234", num_processes=2, process_id=0
        ... )
    """
    # JAX's preemption service would catch SIGTERM and keep the process running.
    jax.config.update("jax_enable_preemption_service", False)
    if coordinator is None and num_processes is None and process_id is None:
        try:
            jax.distributed.initialize(initialization_timeout=timeout)
        except ValueError as error:  # JAX only reports the missing arguments.
            raise InputError(
                "no TPU pod, Slurm, Open MPI or Kubernetes job was detected; pass "
                "coordinator, num_processes and process_id"
            ) from error
        return
    if coordinator is None or num_processes is None or process_id is None:
        raise InputError(
            "pass all of coordinator, num_processes and process_id, or none, got "
            f"{coordinator}, {num_processes} and {process_id}"
        )
    if not 0 <= process_id < num_processes:
        last = num_processes - 1
        raise InputError(f"process_id must be in 0..{last}, got {process_id}")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(
            f"coordinator must be host:port, such as 10.0.0.1:1234, got {coordinator}"
        )
    # If JAX cannot connect, it aborts the process with a stack dump.
    if process_id == 0:
        _check_port(int(port))
    else:
        _wait_for(host.strip("[]"), int(port), timeout)
    jax.distributed.initialize(
        coordinator, num_processes, process_id, initialization_timeout=timeout
    )


def from_process_0(values: np.ndarray) -> np.ndarray:
    """Returns the values of process 0 in all processes, which must all call this.

    Args:
        values: float64 of the same shape in every process.
    """
    # JAX would round float64 to float32.
    words = np.ascontiguousarray(values, np.float64).view(np.uint32)
    return np.array(multihost_utils.broadcast_one_to_all(words)).view(np.float64)


def _check_port(port: int) -> None:
    """Raises InputError unless this process can listen on a port of this machine."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise InputError(
            f"port {port} of coordinator is not available on this machine "
            f"({error.strerror}); choose another port for all processes"
        ) from error


def _wait_for(host: str, port: int, timeout: float) -> None:
    """Waits until a program listens at host:port; raises InputError if none does."""
    end = time.monotonic() + timeout
    while True:
        try:
            return socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            if time.monotonic() > end:
                raise InputError(
                    f"no process 0 at coordinator {host}:{port} within {timeout} s "
                    f"({error}); start it there or correct the address"
                ) from error
        time.sleep(0.2)
