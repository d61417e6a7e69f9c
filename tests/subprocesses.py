"""Programs that tests start."""

import os
import socket
import subprocess
import sys

from tests.conftest import ROOT


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(*arguments: str, **environment: str) -> subprocess.Popen:
    """Starts Python with these arguments in the root of the project.

    In a process group of its own, which gets the signals that a terminal would send.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(processes: list[subprocess.Popen], timeout: float = 300) -> list[str]:
    """What they said, once all have ended; whatever happens, none is left."""
    try:
        return [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def succeed(processes: list[subprocess.Popen], timeout: float = 300) -> list[str]:
    """As `finish`, and asserts that all went well."""
    said = finish(processes, timeout)
    for process, output in zip(processes, said, strict=True):
        assert process.returncode == 0, output
    return said
