"""Programs that are stopped, or whose output nobody reads."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import gc, signal, time
from colddiff_jax.cli import program

# The shell of a background job ignores Ctrl-C for its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

def main():
{body}

program.run(main)
"""
WORK = """
    print("working", flush=True)
    time.sleep(60)
"""
# As JAX's own callback may do.
SWALLOWS = """
    def callback(phase, info):
        if phase == "start" and gc.callbacks:
            gc.callbacks.clear()
            print("working", flush=True)
            time.sleep(60)

    gc.callbacks[:] = [callback]
    gc.collect()
    for _ in range(600):
        time.sleep(0.1)
"""
PRINTS = """
    for i in range(100_000):
        print("line", i)
"""


def start(body: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("body", [WORK, SWALLOWS])
def test_ctrl_c_ends_a_program_in_one_line(body):
    with start(body) as process:
        assert process.stdout.readline() == "working\n"
        time.sleep(0.5)  # Until it sleeps.
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "-c: interrupted\n")
    assert process.returncode == 130


def test_a_reader_that_has_seen_enough_is_no_traceback():
    with start(PRINTS) as process:
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
