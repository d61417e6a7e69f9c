"""Worker processes that load batches, and how they end."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

from colddiff_jax import InputError, data
from colddiff_jax.data import workers


def stream(images, num_workers=1):
    indices = data.batch_indices(len(images), 2, seed=0)
    preprocessing = data.Preprocessing(image_size=8)
    return data.stream_batches(
        images, None, preprocessing, indices, num_workers=num_workers
    )


@pytest.fixture
def inheriting(monkeypatch):
    """The state of a process that imports the main script, as multiprocessing sets."""
    process = multiprocessing.current_process()
    monkeypatch.setattr(process, "_inheriting", True, raising=False)
    return process


def test_a_process_that_only_imports_the_script_must_not_train(inheriting):
    message = "start again in every loading process; .* 'if __name__ == \"__main__\":'"
    with pytest.raises(InputError, match=message):
        workers.check_main_guard()
    with pytest.raises(InputError, match=message):
        stream(np.zeros((4, 8, 8, 1), np.uint8))


def test_a_worker_that_only_imports_the_script_exits_silently(inheriting, monkeypatch):
    monkeypatch.setattr(inheriting, "name", "grain-process-prefetch-0")
    with pytest.raises(SystemExit):
        workers.check_main_guard()


def test_a_killed_worker_is_one_line_and_ends_the_others(capfd):
    # More than a pipe holds, which a worker killed at the start would not read.
    images = np.zeros((2000, 8, 8, 1), np.uint8)

    def kill():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        os.kill(children[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(InputError, match=r"ended by SIGKILL; .*`training.num_workers`"):
        for _ in stream(images, num_workers=2):
            pass
    thread.join()
    assert not multiprocessing.active_children()
    assert "Traceback" not in capfd.readouterr().err


class Unsendable:
    """Images that no other process can receive."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.zeros((8, 8, 1), np.uint8)

    def __reduce__(self):
        raise TypeError("cannot pickle these images")


def test_images_that_cannot_be_sent_to_a_worker_raise_why():
    with pytest.raises(TypeError, match="cannot pickle these images"):
        next(stream(Unsendable()))


@pytest.mark.parametrize(
    ("status", "message"),
    [(-11, "ended by SIGSEGV"), (3, "ended with status 3; its own output says why")],
)
def test_every_end_of_a_worker_has_its_line(status, message):
    error = RuntimeError(
        f"Worker process was terminated unexpectedly with exit code {status}. Search"
    )
    with pytest.raises(InputError, match=message):
        workers._raise_cause(error, [])


def test_other_errors_are_not_explained_away():
    with pytest.raises(RuntimeError, match="broken"):
        workers._raise_cause(RuntimeError("broken"), [])
