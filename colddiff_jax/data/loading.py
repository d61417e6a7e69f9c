"""Loads and resizes images: batches for training, whole sets, test images."""

import concurrent.futures
import dataclasses
import functools
import itertools
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.data.order import Windows
from colddiff_jax.data.preprocessing import Preprocessing
from colddiff_jax.data.splits import Images, name_of
from colddiff_jax.data.workers import STOP_SIGNALS, load_in_workers
from colddiff_jax.reprs import short_repr


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

    def __repr__(self) -> str:
        return short_repr(self)


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
        indices: a `grain.MapDataset` from `batch_indices`; from `batch_windows` if the
            preprocessing takes random windows of images of any sizes.
        num_workers: number of worker processes; 0 for two threads in this process,
            which is enough for small images.

    Returns:
        An iterator over `Batch`es with images uint8 [..., B, H, W, C], where H = W =
        `image_size` for windows, and their labels.
        Close it after use: it may own worker processes.

    Raises:
        InputError: a worker process has ended, or the script that calls this would
            start again in every worker; the former when the next batch is due.
    """
    import grain

    loader = _WindowLoader if preprocessing.crop else _Loader
    load = loader(images, labels, preprocessing)
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

    first = load_image(images, 0, preprocessing.resize)
    result = np.empty((len(images), *first.shape), np.uint8)

    def fill(index: int) -> None:
        resized = load_image(images, index, preprocessing.resize)
        result[index] = _check_shape(resized, first.shape)

    # Decoding and resizing release Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(fill, range(len(images)))
        for _ in tqdm(done, "loading", len(images), unit=" images", disable=None):
            pass
    return result


def load_image(
    images: Images, index: int, prepare: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Loads one image, and resizes or crops it.

    Args:
        images: uint8 [H, W, C] each.
        index: of the image.
        prepare: `resize` or `test` of a `Preprocessing`.

    Raises:
        InputError: an image of a size that does not fit; names its file.
    """
    image = images[index]
    try:
        return prepare(image)
    except InputError as error:
        raise InputError(f"{name_of(images, index)}: {error}") from error


def load_if_small(
    sets: Sequence[Images], preprocessing: Preprocessing, limit: float
) -> list[list[np.ndarray]] | None:
    """Loads and resizes all images of some sets, each of its own size.

    Args:
        sets: of images.
        preprocessing: its `resize` is applied to each image.
        limit: the number of bytes that all of them together may take.

    Returns:
        The images of each set, uint8 [H, W, C]; None if they take more bytes.
    """
    from tqdm import tqdm

    places = [(images, i) for images in sets for i in range(len(images))]
    resize = functools.partial(load_image, prepare=preprocessing.resize)
    loaded: list[np.ndarray] = []
    size = 0
    at_once = os.cpu_count() or 1
    with (
        concurrent.futures.ThreadPoolExecutor(at_once) as pool,
        tqdm(desc="loading", total=len(places), unit=" images", disable=None) as bar,
    ):
        # A few at a time, since those beyond the limit are loaded in vain.
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            sources, indices = zip(*some, strict=True)
            loaded += pool.map(resize, sources, indices)
            size += sum(image.nbytes for image in loaded[start:])
            if size > limit:
                return None
            bar.update(len(some))
    rest = iter(loaded)
    return [list(itertools.islice(rest, len(images))) for images in sets]


def load_windows(
    images: Images, preprocessing: Preprocessing, windows: Windows
) -> np.ndarray:
    """Loads images and cuts windows out of them.

    Args:
        images: uint8 [H, W, C] each, of any sizes.
        preprocessing: its `resize` and its `window` are applied to each image.
        windows: the images and the places of their windows.

    Returns:
        uint8 [..., B, S, S, C], where S is `image_size`.

    Example:
        >>> photos = [np.zeros((60, 80, 3), np.uint8), np.zeros((90, 64, 3), np.uint8)]
        >>> windows = batch_windows(2, 8, seed=0)[0]
        >>> load_windows(photos, Preprocessing(image_size=32, crop=True), windows).shape
        (8, 32, 32, 3)
    """
    indices, places = windows.indices.ravel(), windows.places.reshape(-1, 2)
    result: list[Any] = [None] * len(indices)
    for index in np.unique(indices).tolist():  # Each is decoded once.
        image = load_image(images, index, preprocessing.resize)
        for i in np.flatnonzero(indices == index).tolist():
            # A view would keep the whole image in memory.
            result[i] = preprocessing.window(image, places[i]).copy()
    pixels = np.stack(result)
    return pixels.reshape(*windows.indices.shape, *pixels.shape[1:])


def load_test_images(
    images: Images, preprocessing: Preprocessing, start: int, stop: int
) -> np.ndarray:
    """Loads test images start..stop - 1 in order, as uint8 [stop - start, S, S, C]."""
    tests = (load_image(images, i, preprocessing.test) for i in range(start, stop))
    return np.stack(list(tests))


def stack(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks images of one size into one array.

    Raises:
        InputError: the images have different sizes.
    """
    return np.stack([_check_shape(image, images[0].shape) for image in images])


@dataclasses.dataclass(frozen=True)
class _Loader:
    """Loads the images at given indices; can be sent to another process."""

    images: Images
    labels: np.ndarray | None
    preprocessing: Preprocessing

    def __call__(self, indices: np.ndarray) -> Batch:
        resize = self.preprocessing.resize
        loaded = [load_image(self.images, int(i), resize) for i in indices.flat]
        pixels = stack(loaded)
        return Batch(
            pixels.reshape(*indices.shape, *loaded[0].shape),
            None if self.labels is None else self.labels[indices],
        )


@dataclasses.dataclass(frozen=True)
class _WindowLoader:
    """Loads windows of images; can be sent to another process."""

    images: Images
    labels: np.ndarray | None
    preprocessing: Preprocessing

    def __call__(self, windows: Windows) -> Batch:
        return Batch(
            load_windows(self.images, self.preprocessing, windows),
            None if self.labels is None else self.labels[windows.indices],
        )


def _check_shape(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if image.shape != shape:
        raise InputError(
            f"the images have different sizes, {image.shape} and {shape} (rows, "
            "columns, channels); set `data.resize_to` to bring them to one size"
        )
    return image
