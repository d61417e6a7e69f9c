"""Joins the processes of one run, on one machine or several."""

import socket
import time

import jax

from colddiff_jax.errors import InputError


def initialize(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: int = 300,
) -> None:
    """Joins the other processes of a run; to be called before anything uses a device.

    JAX ends all processes when one dies (after 100 s without a sign of life) and when
    one leaves, with or without an error, 300 s before another.

    Args:
        coordinator: "host:port" of process 0, at which the others reach it. Without
            arguments the cluster says it all: TPU pods, Slurm, Open MPI, Kubernetes.
        num_processes: how many there are.
        process_id: the number of this one, 0..num_processes - 1.
        timeout: seconds to wait for process 0. It waits as long for the others, but
            then JAX ends it with DEADLINE_EXCEEDED.

    Raises:
        InputError: arguments that are missing or wrong, a port that is taken, no
            process 0, or no cluster.

    Example:
        >>> processes.initialize("10.0.0.1:1234", num_processes=2, process_id=0)
    """
    # JAX's own service would take SIGTERM for itself and not end on it.
    jax.config.update("jax_enable_preemption_service", False)
    if coordinator is None and num_processes is None and process_id is None:
        try:
            jax.distributed.initialize(initialization_timeout=timeout)
        except ValueError as error:  # What is missing is all that JAX can say.
            raise InputError(
                "no TPU pod, Slurm, Open MPI or Kubernetes says which processes there "
                "are; give coordinator, num_processes and process_id"
            ) from error
        return
    if coordinator is None or num_processes is None or process_id is None:
        raise InputError(
            "coordinator, num_processes and process_id go together, got "
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
    # Where JAX cannot connect it ends the process with a dump of its stack.
    if process_id == 0:
        _check_port(int(port))
    else:
        _wait_for(host.strip("[]"), int(port), timeout)
    jax.distributed.initialize(
        coordinator, num_processes, process_id, initialization_timeout=timeout
    )


def _check_port(port: int) -> None:
    """Raises InputError if another program listens at a port of this machine."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise InputError(
            f"port {port} of coordinator is not free here ({error.strerror}); choose "
            "another one, for all processes"
        ) from error


def _wait_for(host: str, port: int, timeout: float) -> None:
    """Returns once a program listens at host:port; raises InputError if none does."""
    end = time.monotonic() + timeout
    while True:
        try:
            return socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            if time.monotonic() > end:
                raise InputError(
                    f"no process 0 at coordinator {host}:{port} within {timeout} s "
                    f"({error}); start it there, or correct the address"
                ) from error
        time.sleep(0.2)
