"""Signals as requests to stop."""

import os
import signal
import threading
import time

import pytest

from colddiff_jax.training.interruption import stop_requests
from tests.subprocesses import finish, start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_request_and_the_second_acts_as_before(number, capfd):
    received = []
    before = signal.signal(number, lambda *_: received.append("ours"))
    try:
        ours = signal.getsignal(number)
        with stop_requests() as stop_requested:
            assert not stop_requested()
            os.kill(os.getpid(), number)
            assert stop_requested() and not received
            os.kill(os.getpid(), number)
            assert received == ["ours"]
        assert signal.getsignal(number) is ours
        message = f"{number.name}: stopping and saving; again to stop at once\n"
        assert capfd.readouterr().out == message
    finally:
        signal.signal(number, before)


# Long, and without returning to the Python interpreter.
IN_NATIVE_CODE = """
import hashlib, signal
from colddiff_jax.training.interruption import stop_requests
# The shell of a background job ignores Ctrl-C for its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
with stop_requests():
    print("working", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**8)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_handled_while_the_main_thread_is_in_native_code(number):
    process = start("-c", IN_NATIVE_CODE)
    try:
        assert process.stdout.readline() == "working\n"
        time.sleep(0.5)
        process.send_signal(number)
        assert process.stdout.readline().startswith(
            f"{number.name}: stopping and saving"
        )
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    finally:
        finish([process])


def test_handlers_are_restored_without_a_signal_and_after_an_error():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(RuntimeError, match="broken"), stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
        raise RuntimeError("broken")
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert after == before


def test_outside_the_main_thread_signals_are_ignored():
    heard = []

    def work():
        with stop_requests() as stop_requested:
            heard.append(stop_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
