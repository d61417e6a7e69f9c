"""Batches for training steps: images, or indices into images on the devices."""

import collections
import concurrent.futures
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from colddiff_jax import devices
from colddiff_jax.data import (
    Batch,
    Images,
    batch_indices,
    batch_windows,
    leave_signals_to_others,
    load_all,
    load_if_small,
    stream_batches,
)
from colddiff_jax.training.task import Task


class TrainingBatches(NamedTuple):
    """The data of parallel training steps.

    Attributes:
        resident: all training images, on every device, or None.
        batches: the batches of each call, on the devices: images, or indices into
            `resident`.
        text: a line that says where the images are kept.
    """

    resident: Batch | None
    batches: Iterator[Batch]
    text: str


@contextlib.contextmanager
def open_batches(task: Task, first_step: int) -> Iterator[TrainingBatches]:
    """Keeps the training images on the devices if they fit, and streams them otherwise.

    The batches are the same either way: their order is a pure function of the seed and
    the step, and images are augmented on the device. Images of any sizes, from which
    random windows are cut, are kept in the host's memory if they fit.

    Args:
        task: the data, preprocessing and options.
        first_step: the step of the first batch.
    """
    options, preprocessing = task.training, task.preprocessing
    splits = task.data.splits
    images, labels = splits.train, splits.train_labels
    endpoints = task.data.endpoints.train if task.data.endpoints else None
    # Of one seed are the same order and the same windows.
    endpoint_seed = task.seed if task.data.paired else task.seed + 1

    order = batch_windows if preprocessing.crop else batch_indices

    def indices(images: Images, seed: int) -> Any:
        per_step = order(
            len(images),
            options.batch_size,
            seed=seed,
            first_step=first_step,
            shard=(devices.process_index(), devices.num_processes()),
        )
        return per_step.batch(options.steps_per_call)

    def stream(images: Images, labels: np.ndarray | None, seed: int) -> Iterator[Batch]:
        batches = stream_batches(
            images,
            labels,
            preprocessing,
            indices(images, seed),
            num_workers=num_workers,
        )
        return stack.enter_context(contextlib.closing(batches))

    sets: list[Images] = [images] if endpoints is None else [images, endpoints]
    num_workers = options.num_workers
    if preprocessing.crop:
        on_devices = False
        kept, where = _load_photographs(task, sets)
        if kept is not None:  # Threads are enough to cut windows out of them.
            num_workers, images = 0, kept[0]
            endpoints = kept[-1] if endpoints is not None else None
    else:
        size = sum(len(s) * preprocessing.resize(s[0]).nbytes for s in sets)
        memory = jax.local_devices()[0].memory_stats()
        on_devices = size <= resident_limit(options.resident_mb, memory)
        where = "on every device" if on_devices else "streamed"
        where = f"({size / 1e6:,.1f} MB), {where}"
    text = f"{len(images):,} training images {where}"
    with contextlib.ExitStack() as stack:
        if not on_devices:
            resident = None
            batches = stream(images, labels, task.seed)
            if endpoints is not None:
                others = stream(endpoints, None, endpoint_seed)
        else:
            resident = devices.replicate(
                Batch(
                    load_all(images, preprocessing),
                    labels,
                    None if endpoints is None else load_all(endpoints, preprocessing),
                )
            )
            batches = _one_by_one(indices(images, task.seed))
            if endpoints is not None:
                others = _one_by_one(indices(endpoints, endpoint_seed))
        if endpoints is not None:
            pairs = zip(batches, others, strict=True)
            batches = (a._replace(endpoints=b.images) for a, b in pairs)
        # A script that workers cannot import must end before the first evaluation.
        wait = resident is None and num_workers > 0
        sent = stack.enter_context(_prefetched(batches, wait=wait))
        yield TrainingBatches(resident, sent, text)


def resident_limit(
    resident_mb: int | None, memory_stats: Mapping[str, int] | None
) -> float:
    """Returns the number of bytes of training images that may be kept on a device.

    Args:
        resident_mb: as in `TrainingOptions`.
        memory_stats: `jax.Device.memory_stats()` of the device.
    """
    if resident_mb is not None:
        return resident_mb * 1e6
    return (memory_stats or {}).get("bytes_limit", 8e9) / 4


def _load_photographs(
    task: Task, sets: Sequence[Images]
) -> tuple[list[list[np.ndarray]] | None, str]:
    """Returns all images of some sets if they fit into memory, and says so."""
    limit = resident_limit(task.training.resident_mb, None)
    kept = load_if_small(sets, task.preprocessing, limit)
    if kept is None:
        return None, (
            f"(over training.resident_mb = {limit / 1e6:,.0f} MB), decoded for every "
            "batch"
        )
    size = sum(image.nbytes for images in kept for image in images)
    return kept, f"({size / 1e6:,.1f} MB), in the host's memory"


def gather(resident: Batch, indices: Batch) -> Batch:
    """Returns the images at the given indices with their labels, on the device."""
    return Batch(
        resident.images[indices.images],
        None if resident.labels is None else resident.labels[indices.images],
        None if resident.endpoints is None else resident.endpoints[indices.endpoints],
    )


def _one_by_one(indices: Any) -> Iterator[Batch]:
    """Yields indices without Grain's threads, which cost more than the indices."""
    return (Batch(indices[i]) for i in itertools.count())


@contextlib.contextmanager
def _prefetched(
    batches: Iterator[Batch], *, wait: bool, number: int = 3
) -> Iterator[Iterator[Batch]]:
    """Loads batches and sends them to the devices before they are needed.

    A thread does this, since sending takes milliseconds while steps keep all cores of a
    CPU busy. It starts at once, in parallel with the work before the first step, unless
    that is to `wait` for the first batch.
    """

    def load_and_send() -> Batch:
        return jax.tree.map(devices.shard_steps, next(batches))

    thread = concurrent.futures.ThreadPoolExecutor(
        1, initializer=leave_signals_to_others
    )
    sent = collections.deque(thread.submit(load_and_send) for _ in range(number))

    def received() -> Iterator[Batch]:
        while True:
            batch = sent.popleft().result()
            sent.append(thread.submit(load_and_send))
            yield batch

    try:
        if wait:
            sent[0].result()
        yield received()
    finally:
        thread.shutdown(cancel_futures=True)
