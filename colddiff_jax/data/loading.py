"""Loads batches of images; their order is a pure function of (seed, step)."""

import concurrent.futures
import dataclasses
import functools
import os
import signal
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data.preprocessing import Preprocessing
from colddiff_jax.data.splits import Images
from colddiff_jax.data.workers import STOP_SIGNALS, load_in_workers


class Batch(NamedTuple):
    """A batch of training images with their labels and endpoints.

    Attributes:
        images: uint8 [B, H, W, C].
        labels: classes, int32 [B], or None.
        endpoints: images that a blend degrades into, uint8 [B, H, W, C], or None.
    """

    images: chex.Array
    labels: chex.Array | None = None
    endpoints: chex.Array | None = None


def batch_indices(
    num_images: int,
    batch_size: int,
    *,
    seed: int,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Any:
    """Returns the indices of the images in the batch of every step.

    They are a pure function of (seed, step). Every epoch shows every image once, each
    time in a different order.

    Args:
        num_images: the size of the training set.
        batch_size: over all devices of all processes.
        seed: of the order.
        first_step: the step whose batch comes first, so that a run resumes exactly.
        shard: (p, P) selects the shard of process p of P from every batch.

    Returns:
        An endless `grain.MapDataset` of int64 [batch_size / P].
    """
    import grain

    process, num_processes = shard
    shards = _Shards(num_images, batch_size // num_processes, seed)
    first_shard = num_processes * first_step + process
    return grain.MapDataset.source(shards)[first_shard::num_processes]


def stream_batches(
    images: Images,
    labels: np.ndarray | None,
    preprocessing: Preprocessing,
    indices: Any,
    *,
    num_workers: int = 0,
) -> Any:
    """Loads the images of batches, a few batches before they are needed.

    Args:
        images: the training images.
        labels: their classes, int32 [N], or None.
        preprocessing: its `resize` is applied to each image.
        indices: a `grain.MapDataset` of indices [..., B], from `batch_indices`.
        num_workers: number of worker processes; 0 for two threads in this process,
            which is enough for small images.

    Returns:
        An iterator over `Batch`es with images uint8 [..., B, H, W, C] and their labels.
        Close it after use: it may own worker processes.

    Raises:
        InputError: a worker process has ended, or the script that calls this would
            start again in every worker; the former when the next batch is due.
    """
    import grain

    load = _Loader(images, labels, preprocessing)
    if num_workers:
        return load_in_workers(indices, load, num_workers)
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(indices.map(load).to_iter_dataset(ahead))


def leave_signals_to_others() -> None:
    """Blocks SIGINT and SIGTERM in this thread and in the processes it starts.

    For the thread that first reads from `stream_batches`: Ctrl-C reaches all processes,
    and would end a worker that has only just started and does not ignore it yet.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def load_all(images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """Loads and resizes all images, with a progress bar if run in a terminal.

    Returns:
        uint8 [N, H, W, C].
    """
    from tqdm import tqdm

    first = preprocessing.resize(images[0])
    result = np.empty((len(images), *first.shape), np.uint8)

    def load(index: int) -> None:
        resized = preprocessing.resize(images[index])
        result[index] = _check_shape(resized, first.shape)

    # Decoding and resizing release Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(load, range(len(images)))
        for _ in tqdm(done, "loading", len(images), unit=" images", disable=None):
            pass
    return result


def load_test_images(
    images: Images, preprocessing: Preprocessing, start: int, stop: int
) -> np.ndarray:
    """Loads test images start..stop - 1 in order, as uint8 [stop - start, S, S, C]."""
    return np.stack([preprocessing.test(images[i]) for i in range(start, stop)])


def stack(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks images of one size into one array.

    Raises:
        InputError: the images have different sizes.
    """
    return np.stack([_check_shape(image, images[0].shape) for image in images])


@dataclasses.dataclass(frozen=True)
class _Shards:
    """The image indices of each shard, computed all at once: a step may take 1 ms."""

    num_images: int
    shard_size: int
    seed: int

    def __len__(self) -> int:
        return 2**53  # Practically endless, and exact as the float Grain converts to.

    def __getitem__(self, shard: int) -> np.ndarray:
        positions = shard * self.shard_size + np.arange(self.shard_size)
        epochs, offsets = np.divmod(positions, self.num_images)
        indices = np.empty_like(positions)
        for epoch in np.unique(epochs):
            in_epoch = epochs == epoch
            permutation = _permutation(self.num_images, self.seed, int(epoch))
            indices[in_epoch] = permutation[offsets[in_epoch]]
        return indices


@functools.lru_cache(maxsize=4)
def _permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(num_images)


@dataclasses.dataclass(frozen=True)
class _Loader:
    """Loads the images at given indices; can be sent to another process."""

    images: Images
    labels: np.ndarray | None
    preprocessing: Preprocessing

    def __call__(self, indices: np.ndarray) -> Batch:
        loaded = [self.preprocessing.resize(self.images[int(i)]) for i in indices.flat]
        pixels = stack(loaded)
        return Batch(
            pixels.reshape(*indices.shape, *loaded[0].shape),
            None if self.labels is None else self.labels[indices],
        )


def _check_shape(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if image.shape != shape:
        raise InputError(
            f"the images have different sizes, {image.shape} and {shape} (rows, "
            "columns, channels); set `data.resize_to` to bring them to one size"
        )
    return image
