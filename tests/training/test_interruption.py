"""Requests to stop."""

import os
import signal
import threading

import pytest

from colddiff_jax.training.interruption import stop_requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_request_and_the_second_acts_as_ever(number, capfd):
    received = []
    before = signal.signal(number, lambda *_: received.append("ours"))
    try:
        ours = signal.getsignal(number)
        with stop_requests() as stop_requested:
            assert not stop_requested()
            os.kill(os.getpid(), number)
            assert stop_requested() and not received
            message = f"{number.name}: stopping after this step; again to stop at once"
            assert message in capfd.readouterr().out
            os.kill(os.getpid(), number)
            assert received == ["ours"]
        assert signal.getsignal(number) is ours
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back_without_a_signal_and_after_an_error():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(RuntimeError, match="broken"), stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
        raise RuntimeError("broken")
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert after == before


def test_another_thread_than_the_main_one_listens_to_nothing():
    heard = []

    def work():
        with stop_requests() as stop_requested:
            heard.append(stop_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
