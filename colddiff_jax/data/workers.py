"""Loads batches in worker processes, and says in one line why they ended."""

import contextlib
import dataclasses
import multiprocessing
import os
import re
import signal
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any, NoReturn

import cloudpickle
import jax
import numpy as np
from absl import flags

from colddiff_jax.checks import InputError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_UNGUARDED = 64  # The exit status of a worker whose main script loads images itself.
_GUARD = (
    "this script would start again in every loading process; put the code that trains "
    "below the line 'if __name__ == \"__main__\":', or set `training.num_workers` to 0"
)


def check_main_guard() -> None:
    """Ends a new process that only imports the main script, as Python does first.

    A script that trains when it is imported would train again in every process it
    starts. A worker of `load_in_workers` exits without a traceback; the process that
    waits for the worker raises the error.

    Raises:
        InputError: some other process imports the script.
    """
    process = multiprocessing.current_process()
    # multiprocessing's own mark, for the same purpose.
    if not getattr(process, "_inheriting", False):
        return
    if process.name.startswith("grain-"):
        raise SystemExit(_UNGUARDED)
    raise InputError(_GUARD)


def load_in_workers(
    indices: Any, load: Callable[[Any], Any], num_workers: int
) -> Iterator[Any]:
    """Loads what indices stand for in worker processes, in the order of the indices.

    Args:
        indices: a `grain.MapDataset`.
        load: maps an element of `indices` to a tree of arrays.
        num_workers: number of worker processes.

    Returns:
        A generator of trees of arrays; close it to end the workers.

    Raises:
        InputError: a worker has ended, when its next element is due.
    """
    check_main_guard()
    # Grain's workers read absl's flags, which a notebook has not parsed.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    # Starting the tracker unblocks SIGINT and SIGTERM in the current thread, so it must
    # not be started later by a thread that has blocked them.
    resource_tracker.ensure_running()
    return _loaded(indices, load, num_workers)


def _loaded(
    indices: Any, load: Callable[[Any], Any], num_workers: int
) -> Iterator[Any]:
    import grain

    options = grain.MultiprocessingOptions(
        num_workers=num_workers, per_worker_buffer_size=2
    )
    with _served(load) as (address, failures):
        dataset = indices.map(_Fetched(load, address)).to_iter_dataset()
        elements = iter(dataset.mp_prefetch(options, _begin_worker))
        with contextlib.closing(elements):
            try:
                for element in elements:
                    # Out of shared memory, which a CPU device would hold until the end.
                    yield jax.tree.map(np.array, element)
            except Exception as error:
                _raise_cause(error, failures)


def _raise_cause(error: Exception, failures: list[Exception]) -> NoReturn:
    """Raises why the workers have ended: in one line if the library is not at fault."""
    if failures:  # `load` cannot be sent.
        raise failures[0]
    # Grain tells the end of a worker in no other way.
    ended = re.search(r"terminated .* with exit code (-?\d+)", str(error))
    if ended is None:
        raise error
    status = int(ended[1])
    if status == _UNGUARDED:
        raise InputError(_GUARD) from None
    if status < 0:
        raise InputError(
            f"a loading process was ended by {signal.Signals(-status).name}; if memory "
            "ran out, lower `training.num_workers`"
        ) from None
    raise InputError(
        f"a loading process ended with status {status}; its own output says why, or "
        "load without such processes by `training.num_workers` = 0"
    ) from None


@contextlib.contextmanager
def _served(value: Any) -> Iterator[tuple[str, list[Exception]]]:
    """Serves a value at a socket, for `_fetch` in other processes.

    Yields:
        The address, and a list of the errors that prevented the value from being sent.
    """
    failures: list[Exception] = []

    class Handler(socketserver.StreamRequestHandler):
        wbufsize = 2**16

        def handle(self) -> None:
            try:
                cloudpickle.dump(value, self.wfile)
                self.wfile.flush()
            except OSError:  # The process has ended.
                pass
            except Exception as error:
                failures.append(error)

    with tempfile.TemporaryDirectory(prefix="colddiff-") as folder:
        address = os.path.join(folder, "socket")
        with socketserver.ThreadingUnixStreamServer(address, Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield address, failures
            finally:
                server.shutdown()


def _fetch(address: str) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        with client.makefile("rb") as file:
            return cloudpickle.load(file)


@dataclasses.dataclass(frozen=True)
class _Fetched:
    """A function that other processes fetch from its address.

    It may hold all images: multiprocessing would send them by a pipe, and wait forever
    for a process that ends before it has read them.
    """

    function: Callable[[Any], Any]
    address: str

    def __call__(self, argument: Any) -> Any:
        return self.function(argument)

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return _fetch, (self.address,)


def _begin_worker(worker: int, num_workers: int) -> None:
    """Makes a worker process live exactly as long as the training process."""
    del worker, num_workers
    # Ctrl-C reaches all processes, but the workers must outlive the saving of the run.
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exits once the parent has ended, even if killed: Grain would wait forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
