"""What the training step is fed with: the images themselves, or their numbers."""

import collections
import concurrent.futures
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from colddiff_jax import parallel
from colddiff_jax.data import (
    Batch,
    Images,
    batch_indices,
    leave_signals_to_others,
    load_all,
    stream_batches,
)
from colddiff_jax.training.experiment import Experiment


class Feed(NamedTuple):
    """What a parallel training step takes beside the state.

    Attributes:
        resident: all training images, on every device, or None.
        batches: what the steps of each call take, on the devices: images, or their
            numbers among the resident ones.
        text: says where the images are.
    """

    resident: Batch | None
    batches: Iterator[Batch]
    text: str


@contextlib.contextmanager
def open_feed(experiment: Experiment, first_step: int) -> Iterator[Feed]:
    """Puts the training images on the devices where they fit, or streams them.

    The batches are the same either way: their order is a pure function of the seed and
    the step, and what is random about an image happens on the device.

    Args:
        experiment: its sources, preprocessing and options.
        first_step: the step whose batch comes first.
    """
    options, preprocessing = experiment.training, experiment.preprocessing
    images, labels = experiment.splits.train, experiment.splits.train_labels
    endpoints = experiment.endpoints.train if experiment.endpoints else None

    def numbers(images: Images, seed: int) -> Any:
        of_steps = batch_indices(
            len(images),
            options.batch_size,
            seed=seed,
            first_step=first_step,
            share=(parallel.process_index(), parallel.num_processes()),
        )
        return of_steps.batch(options.steps_per_call)

    def stream(images: Images, labels: np.ndarray | None, seed: int) -> Iterator[Batch]:
        batches = stream_batches(
            images,
            labels,
            preprocessing,
            numbers(images, seed),
            num_workers=options.num_workers,
        )
        return stack.enter_context(contextlib.closing(batches))

    sets = [images] if endpoints is None else [images, endpoints]
    size = sum(len(s) * preprocessing.resize(s[0]).nbytes for s in sets)
    text = f"{len(images):,} training images ({size / 1e6:,.1f} MB), "
    with contextlib.ExitStack() as stack:
        memory = jax.local_devices()[0].memory_stats()
        if size > resident_limit(options.resident_mb, memory):
            resident, text = None, text + "streamed"
            batches = stream(images, labels, experiment.seed)
            if endpoints is not None:
                others = stream(endpoints, None, experiment.seed + 1)
        else:
            text += "on every device"
            resident = parallel.replicate(
                Batch(
                    load_all(images, preprocessing),
                    labels,
                    None if endpoints is None else load_all(endpoints, preprocessing),
                )
            )
            batches = _one_by_one(numbers(images, experiment.seed))
            if endpoints is not None:
                others = _one_by_one(numbers(endpoints, experiment.seed + 1))
        if endpoints is not None:
            pairs = zip(batches, others, strict=True)
            batches = (a._replace(endpoints=b.images) for a, b in pairs)
        yield Feed(resident, stack.enter_context(_ahead(batches)), text)


def resident_limit(
    resident_mb: int | None, memory_stats: Mapping[str, int] | None
) -> float:
    """How many bytes of training images may be kept on a device.

    Args:
        resident_mb: as in `TrainingOptions`.
        memory_stats: of the device, `jax.Device.memory_stats()`.
    """
    if resident_mb is not None:
        return resident_mb * 1e6
    return (memory_stats or {}).get("bytes_limit", 8e9) / 4


def take(resident: Batch, numbers: Batch) -> Batch:
    """The images with some numbers, with their labels; a gather on the device."""
    return Batch(
        resident.images[numbers.images],
        None if resident.labels is None else resident.labels[numbers.images],
        None if resident.endpoints is None else resident.endpoints[numbers.endpoints],
    )


def _one_by_one(numbers: Any) -> Iterator[Batch]:
    """Without Grain's threads, which cost more than making a list of numbers."""
    return (Batch(numbers[i]) for i in itertools.count())


@contextlib.contextmanager
def _ahead(batches: Iterator[Batch], number: int = 3) -> Iterator[Iterator[Batch]]:
    """Loads batches and sends them to the devices before they are needed.

    By a thread: to send takes milliseconds while steps keep all cores of a CPU busy. It
    begins at once, beside whatever comes before the first step.
    """

    def load_and_send() -> Batch:
        return jax.tree.map(parallel.shard_steps, next(batches))

    thread = concurrent.futures.ThreadPoolExecutor(
        1, initializer=leave_signals_to_others
    )
    sent = collections.deque(thread.submit(load_and_send) for _ in range(number))

    def arriving() -> Iterator[Batch]:
        while True:
            batch = sent.popleft().result()
            sent.append(thread.submit(load_and_send))
            yield batch

    try:
        yield arriving()
    finally:
        thread.shutdown(cancel_futures=True)
