"""Starts and ends the programs that tests run."""

import os
import pathlib
import socket
import subprocess
import sys

from tests.conftest import ROOT


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(
    *arguments: str, cwd: pathlib.Path = ROOT, **environment: str
) -> subprocess.Popen:
    """Starts Python with these arguments, by default in the root of the project.

    The process has its own group, to which a test can send signals like a terminal.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(processes: list[subprocess.Popen], timeout: float = 300) -> list[str]:
    """Returns the outputs once all have ended; kills any that are left on an error."""
    try:
        return [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def succeed(processes: list[subprocess.Popen], timeout: float = 300) -> list[str]:
    """Does the same as `finish`, and asserts that all have succeeded."""
    outputs = finish(processes, timeout)
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs
