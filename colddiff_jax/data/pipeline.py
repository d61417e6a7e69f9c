"""From a source of images to batches whose order is a pure function of (seed, step)."""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from PIL import Image

from colddiff_jax.data.splits import Images
from colddiff_jax.errors import InputError

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Batch(NamedTuple):
    """Training images and what comes with them.

    Attributes:
        images: uint8 [B, H, W, C].
        labels: classes, int32 [B], or None.
        endpoints: images that a blend degrades into, uint8 [B, H, W, C], or None.
    """

    images: chex.Array
    labels: chex.Array | None = None
    endpoints: chex.Array | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes a square of the size the network trains on.

    On the host, once: the shorter side is resized to `resize_to` (bilinear with
    antialiasing, as PIL and the official code do it), and the central square is kept.
    On the device, anew in every step: black pixels are added on every side, a square of
    `image_size` is cut at random, and half of the images are mirrored. Test images are
    cut from the centre. The published augmentation is `resize_to` = 1.12 `image_size`,
    rounded down, and `flip`.

    Attributes:
        image_size: side of the result in pixels.
        resize_to: length of the shorter side before the cut; 0 leaves images as they
            are, which then must all have the same size.
        pad: black pixels added on every side before a random cut.
        flip: mirror half of the training images; wrong for digits and letters.
    """

    image_size: int
    resize_to: int = 0
    pad: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        for name, least in (("image_size", 1), ("resize_to", 0), ("pad", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(
                    f"data.{name} must be an integer of at least {least}, got {value!r}"
                )
        if self.resize_to and self.resize_to < self.image_size:
            raise InputError(
                "data.resize_to must be 0 or at least data.image_size = "
                f"{self.image_size}, got {self.resize_to}"
            )

    def resize(self, image: np.ndarray) -> np.ndarray:
        """The part on the host: resizes one uint8 image [H, W, C] to a square.

        Raises:
            InputError: an image smaller than `image_size`, or of so many channels that
                it cannot be resized.
        """
        height, width, channels = image.shape
        if not self.resize_to:
            if min(height, width) < self.image_size:
                raise InputError(
                    f"images of {height} x {width} pixels are smaller than "
                    f"data.image_size = {self.image_size}; set data.resize_to to "
                    f"{self.image_size} or more"
                )
            return image
        if min(height, width) != self.resize_to:
            if channels not in (1, 3, 4):
                raise InputError(
                    "only images of 1, 3 or 4 channels can be resized, got "
                    f"{channels}; resize them to {self.resize_to} beforehand or set "
                    "data.resize_to to 0"
                )
            scale = self.resize_to / min(height, width)
            size = (round(width * scale), round(height * scale))
            pixels = image[..., 0] if channels == 1 else image
            resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
            image = np.asarray(resized).reshape(size[1], size[0], channels)
        return _central(image, self.resize_to)

    def augment(self, keys: chex.PRNGKey, images: chex.Array) -> chex.Array:
        """The part on the device: pads, cuts at random and flips a batch.

        Args:
            keys: one per image, [B].
            images: uint8 [B, H, W, C], as `resize` makes them.

        Returns:
            uint8 [B, S, S, C].
        """
        padding = ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0))
        images = jnp.pad(images, padding)
        spare = jnp.array(images.shape[1:3]) - self.image_size
        shape = (self.image_size, self.image_size, images.shape[3])

        def cut(key: chex.PRNGKey, image: chex.Array) -> chex.Array:
            place, mirror = jax.random.split(key)
            top, left = jax.random.randint(place, (2,), 0, spare + 1)
            image = jax.lax.dynamic_slice(image, (top, left, 0), shape)
            if not self.flip:
                return image
            return jnp.where(jax.random.bernoulli(mirror), image[:, ::-1], image)

        return jax.vmap(cut)(keys, images)

    def test(self, image: np.ndarray) -> np.ndarray:
        """Resizes one uint8 image [H, W, C] and cuts its centre."""
        return _central(self.resize(image), self.image_size)


def batch_indices(
    num_images: int,
    batch_size: int,
    *,
    seed: int,
    first_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Any:
    """Which images make up the batch of every step, a pure function of (seed, step).

    Every epoch shows every image once, in another order.

    Args:
        num_images: how many there are.
        batch_size: over all devices of all processes.
        seed: of the order.
        first_step: the step whose batch comes first, so that a run resumes exactly.
        share: (p, P) for the part of every batch that process p of P works on.

    Returns:
        An endless `grain.MapDataset` of int64 [batch_size / P].
    """
    import grain

    process, processes = share
    order = _Order(num_images, batch_size // processes, seed)
    return grain.MapDataset.source(order)[processes * first_step + process :: processes]


def stream_batches(
    images: Images,
    labels: np.ndarray | None,
    preprocessing: Preprocessing,
    indices: Any,
    *,
    num_workers: int = 0,
) -> Any:
    """Loads the images of batches, a few batches ahead of where they are used.

    Args:
        images: the training images.
        labels: their classes, int32 [N], or None.
        preprocessing: its part on the host is applied to each.
        indices: a `grain.MapDataset` of indices [..., B], from `batch_indices`.
        num_workers: processes that load; 0 for two threads of this one, which is enough
            for small images.

    Returns:
        A `grain.DatasetIterator` of images uint8 [..., B, H, W, C] and their labels; to
        be closed, since it may have processes at work.
    """
    import grain

    batches = indices.map(_Loader(images, labels, preprocessing))
    if num_workers:
        # Grain's processes read absl's flags, which a notebook has not parsed.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        # Whoever starts it later finds signals unblocked that it had blocked.
        resource_tracker.ensure_running()
        options = grain.MultiprocessingOptions(
            num_workers=num_workers, per_worker_buffer_size=2
        )
        loaded = batches.to_iter_dataset().mp_prefetch(options, _begin_worker)
        # Out of shared memory, which a CPU device would hold on to until the very end.
        return iter(loaded.map(lambda batch: jax.tree.map(np.array, batch)))
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(batches.to_iter_dataset(ahead))


def leave_signals_to_others() -> None:
    """Keeps SIGINT and SIGTERM from this thread, and from the processes it starts.

    For the thread that begins to read from `stream_batches`: Ctrl-C reaches all
    processes, also one that loads and has only just been started, which it would end
    before that can say that it ignores it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def load_all(images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """All images, resized, uint8 [N, H, W, C]; with a progress bar on a terminal."""
    from tqdm import tqdm

    first = preprocessing.resize(images[0])
    result = np.empty((len(images), *first.shape), np.uint8)

    def load(index: int) -> None:
        result[index] = _of_shape(preprocessing.resize(images[index]), first.shape)

    # Decoding and resizing release Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(load, range(len(images)))
        for _ in tqdm(done, "loading", len(images), unit=" images", disable=None):
            pass
    return result


def load_test_images(
    images: Images, preprocessing: Preprocessing, start: int, stop: int
) -> np.ndarray:
    """The test images start..stop - 1 in their order, uint8 [stop - start, S, S, C]."""
    return np.stack([preprocessing.test(images[i]) for i in range(start, stop)])


def _begin_worker(worker: int, num_workers: int) -> None:
    """Makes a process that loads live exactly as long as the one that trains."""
    del worker, num_workers
    # Ctrl-C reaches all processes; the run is to be saved before these end.
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """One that is killed says no goodbye, and Grain's loop would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclasses.dataclass(frozen=True)
class _Order:
    """The numbers of the images of every batch, all at once: a step may take 1 ms."""

    num_images: int
    batch_size: int
    seed: int

    def __len__(self) -> int:
        return 2**53  # Endless, and a float, which Grain divides it as.

    def __getitem__(self, number: int) -> np.ndarray:
        positions = number * self.batch_size + np.arange(self.batch_size)
        epochs, places = np.divmod(positions, self.num_images)
        indices = np.empty_like(positions)
        for epoch in np.unique(epochs):
            now = epochs == epoch
            permutation = _permutation(self.num_images, self.seed, int(epoch))
            indices[now] = permutation[places[now]]
        return indices


@functools.lru_cache(maxsize=4)
def _permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(num_images)


@dataclasses.dataclass(frozen=True)
class _Loader:
    """Loads the images with some indices; can be sent to another process."""

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


def stack(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images of one size as one array.

    Raises:
        InputError: images of different sizes.
    """
    return np.stack([_of_shape(image, images[0].shape) for image in images])


def _of_shape(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if image.shape != shape:
        raise InputError(
            f"the images have different sizes, {image.shape} and {shape} (rows, "
            "columns, channels); set data.resize_to to bring them to one"
        )
    return image


def _central(image: np.ndarray, size: int) -> np.ndarray:
    """The central square of an image, where torchvision's CenterCrop has it."""
    top, left = (round((length - size) / 2) for length in image.shape[:2])
    return image[top : top + size, left : left + size]
