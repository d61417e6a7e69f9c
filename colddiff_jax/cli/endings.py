"""How a program ends when its user stops it, or no longer reads what it prints."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def readable_endings() -> Iterator[None]:
    """Ends a program in one line after Ctrl-C, and silently after `| head`.

    Raises:
        SystemExit: in these two cases, with status 130 and 1.
    """
    before, sys.unraisablehook = sys.unraisablehook, _raise_again
    try:
        try:
            yield
        finally:
            sys.unraisablehook = before
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{os.path.basename(sys.argv[0])}: interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        # Or Python would fail to write the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Raises a Ctrl-C again that a callback of the garbage collector has swallowed."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)
