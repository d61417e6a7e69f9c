"""Turns SIGTERM and SIGINT into requests to stop between two steps."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):  # noqa: N818 (not an error)
    """Work was given up because a stop was requested."""


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Treats the first SIGTERM or SIGINT as a request to stop.

    Further signals act as they did before: by default, they end the process at once.
    This also holds while the main thread is in the compiler and Python's handlers have
    to wait, except in an interactive session or a notebook, whose process must not be
    ended. Python allows signal handlers in the main thread only; in any other thread,
    this does nothing.

    Yields:
        A function that returns whether a stop was requested.

    Example:
        >>> with stop_requests() as stop_requested:
        ...     for step in range(100):
        ...         if stop_requested():
        ...             break
    """
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    # A handler that was not set from Python is None and cannot be restored.
    before: dict[int, Any] = {
        number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS
    }

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        requests.append(number)
        restore()

    with _listening(before):
        for number in _SIGNALS:
            signal.signal(number, request)
        try:
            yield lambda: bool(requests)
        finally:
            restore()


@contextlib.contextmanager
def _listening(before: dict[int, Any]) -> Iterator[None]:
    """Confirms the first signal and ends the process on the second, from a thread.

    Args:
        before: the handlers of a second signal; the process is ended here only in place
            of a default handler.
    """
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    receiver, sender = socket.socketpair()
    sender.setblocking(False)

    def listen() -> None:
        num_received = 0
        while number := int.from_bytes(receiver.recv(1)):
            if number not in _SIGNALS:
                continue
            num_received += 1
            if num_received == 1:
                name = signal.Signals(number).name
                text = f"{name}: stopping and saving; again to stop at once\n"
                os.write(1, text.encode())
            elif before[number] in defaults and not hasattr(sys, "ps1"):
                os._exit(128 + number)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    # Python writes the number of every signal to this socket as soon as it arrives.
    others = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(others)
        sender.close()  # Ends the thread.
        thread.join()
        receiver.close()
