"""Batches from images in memory: ours, and PyTorch's DataLoader on the same array.

Ours are on the device: gathered from images that are kept there, streamed by threads,
or streamed by one worker process. A DataLoader collates images one by one, as is usual,
or takes whole batches from the array, its fastest form.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from benchmarks.suite import Form, small, turns
from benchmarks.suite.optional import theirs
from colddiff_jax.training.batches import gather, open_batches
from colddiff_jax.training.task import Task


class Sizes(NamedTuple):
    batches: int  # Per turn.
    rounds: int
    workers: bool  # Worker processes take seconds to start.


SIZES = {
    "smoke": Sizes(4, 1, False),
    "short": Sizes(200, 7, True),
    "full": Sizes(1000, 15, True),
}
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, streamed by threads": {"resident_mb": 0},
    "ours, streamed by 1 process": {"resident_mb": 0, "num_workers": 1},
}
THEIRS: dict[str, dict[str, Any]] = {
    "DataLoader": {},
    "DataLoader, whole batches": {"whole": True},
    "DataLoader, 1 process": {"num_workers": 1},
    "DataLoader, whole batches, 1 process": {"whole": True, "num_workers": 1},
}


def measure(form: Form) -> dict[str, Any]:
    """Measures batches of the small network's configuration."""
    sizes, net = SIZES[form], small.build(form)
    batch_size = net.task.training.batch_size
    calls: dict[str, Callable] = {}
    with contextlib.ExitStack() as stack:
        for name, options in OURS.items():
            if sizes.workers or "num_workers" not in options:
                loader = stack.enter_context(_ours(net.task, options))
                calls[name] = functools.partial(_take, loader, sizes.batches)
        for name, options in THEIRS.items() if theirs else ():
            if sizes.workers or "num_workers" not in options:
                loader = theirs.loading.batches(net.images, batch_size, **options)
                calls[name] = functools.partial(_take, loader, sizes.batches)
        row = turns.ratio(calls, sizes.rounds)
    rates = {
        name: round(sizes.batches / seconds) for name, seconds in row["seconds"].items()
    }
    facts = {"batch": [batch_size, *net.images.shape[1:]], "batches per second": rates}
    return {"uint8 images in memory": facts | row}


@contextlib.contextmanager
def _ours(task: Task, options: dict[str, Any]) -> Iterator[Iterator[Any]]:
    """Opens the batches of the training loop, as images on the device."""
    training = dataclasses.replace(task.training, **options)
    fetch = jax.jit(gather)
    with open_batches(dataclasses.replace(task, training=training), 0) as opened:
        if opened.resident is None:
            yield opened.batches
        else:
            yield (fetch(opened.resident, batch) for batch in opened.batches)


def _take(batches: Iterator[Any], number: int) -> None:
    """Takes that many batches, and waits for each."""
    for _ in range(number):
        jax.block_until_ready(next(batches))
