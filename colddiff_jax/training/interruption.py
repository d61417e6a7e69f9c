"""Stopping between two steps when the process is told to end."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Takes the first SIGTERM or SIGINT as a request to stop.

    What comes after the first acts as it did before: it ends the process at once.
    Python lets only the main thread listen to signals; in any other nothing changes.

    Yields:
        A function that says whether a stop was requested.

    Example:
        >>> with stop_requests() as stop_requested:
        ...     while not stop_requested():
        ...         work()
    """
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    # A handler that was not set from Python is None, and cannot be put back.
    before: dict[int, Any] = {
        number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS
    }

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        requests.append(number)
        restore()
        name = signal.Signals(number).name
        # Not print, which the signal may have interrupted and cannot be entered twice.
        os.write(
            1, f"{name}: stopping after this step; again to stop at once\n".encode()
        )

    for number in _SIGNALS:
        signal.signal(number, request)
    try:
        yield lambda: bool(requests)
    finally:
        restore()
