"""Sampling any number of images, on all devices, with one compiled program."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from colddiff_jax import devices


class BatchSampler:
    """Runs a sampler, or any function of a batch, over any number of images.

    Every batch has the same shape: the last one is padded with copies of its last
    image, whose results are discarded. One program therefore serves all batches and all
    later calls. Each device of this process works on its shard of every batch.

    Args:
        sample: called as sample(shared, batch) with one device's shard of a batch;
            returns arrays, in any structure, whose first axis is the image axis. (In
            the trajectory of a `SampleResult` it is the second: swap the two.) To draw
            random numbers, derive keys from image indices that are part of the batch.
        batch_size: images per batch, over these devices; a multiple of their number.

    Raises:
        InputError: a batch size that does not divide evenly among the devices.

    Example:
        >>> def sample(shared, x_T):
        ...     restore_fn, degrade = shared
        ...     return sample_alg2(restore_fn, degrade, x_T).x_0
        >>> restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
        >>> restore = BatchSampler(sample, batch_size=64)
        >>> x_0 = restore((restore_fn, degrade), x_T)   # x_T: [N, H, W, C], any N
    """

    def __init__(self, sample: Callable[[Any, Any], Any], *, batch_size: int):
        self._num_devices = devices.num_local_devices()
        devices.check_batch_size("batch_size", batch_size, self._num_devices)
        self._batch_size = batch_size
        self._sample = devices.over_devices(sample)

    def __call__(self, shared: Any, images: Any, *, progress: str = "") -> Any:
        """Samples images that are in memory.

        Args:
            shared: the values that all images share, such as (restore_fn, degrade).
            images: a NumPy or JAX array [N, ...], or such arrays in any structure.
            progress: label of a progress bar on a terminal, or of one line elsewhere;
                neither if empty.

        Returns:
            The results of `sample` for all N images, as NumPy arrays.

        Raises:
            ValueError: no images, or arrays of different lengths.
        """
        lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(images)}
        if len(lengths) != 1 or lengths & {(), (0,)}:
            raise ValueError(
                "images must be arrays that hold the same number of images, at least "
                f"one; got shapes that begin with {sorted(lengths)}"
            )
        ((num_images,),) = lengths

        def load(start: int, stop: int) -> Any:
            return jax.tree.map(lambda leaf: np.asarray(leaf[start:stop]), images)

        batches = self.stream(shared, load, num_images, progress=progress)
        return jax.tree.map(lambda *parts: np.concatenate(parts), *batches)

    def stream(
        self,
        shared: Any,
        load: Callable[[int, int], Any],
        num_images: int,
        *,
        progress: str = "",
    ) -> Iterator[Any]:
        """Samples images that are loaded batch by batch.

        While the caller uses the results of a batch, the next one is already loaded and
        running on the devices.

        Args:
            shared: the values that all images share.
            load: load(start, stop) returns the images start..stop - 1, as NumPy arrays.
            num_images: the number of images.
            progress: label of a progress bar on a terminal, or of one line elsewhere;
                neither if empty.

        Yields:
            The results of `sample` for the images of each batch, as NumPy arrays.

        Raises:
            ValueError: `load` or `sample` returns a wrong number of images.
        """
        from tqdm import tqdm

        shared = devices.replicate(shared)
        running: list[tuple[Any, int]] = []
        if progress and not sys.stderr.isatty():
            plural = "" if num_images == 1 else "s"
            line = f"{progress}: {num_images} image{plural}"
            print(line, file=sys.stderr, flush=True)
        # None means a bar only on a terminal.
        disable = None if progress else True
        with tqdm(
            total=num_images, desc=progress, unit=" images", disable=disable
        ) as bar:
            for start in range(0, num_images, self._batch_size):
                stop = min(start + self._batch_size, num_images)
                batch = self._padded_batch(load(start, stop), stop - start)
                running.append((self._sample(shared, batch), stop - start))
                if len(running) > 1:
                    yield self._fetch(*running.pop(0), bar)
            for result, count in running:
                yield self._fetch(result, count, bar)

    def _padded_batch(self, images: Any, count: int) -> Any:
        """Pads a batch with copies of its last image and splits it over the devices."""

        def pad(leaf: np.ndarray) -> np.ndarray:
            if np.shape(leaf)[:1] != (count,):
                raise ValueError(
                    f"load must return {count} images here, got an array of shape "
                    f"{np.shape(leaf)}"
                )
            padding = ((0, self._batch_size - count), *((0, 0),) * (leaf.ndim - 1))
            return devices.shard(np.pad(leaf, padding, mode="edge"), self._num_devices)

        return jax.tree.map(pad, images)

    def _fetch(self, result: Any, count: int, bar: Any) -> Any:
        """Returns the results of a batch on the host, without those of the padding."""
        shard_size = self._batch_size // self._num_devices
        for path, leaf in jax.tree_util.tree_leaves_with_path(result):
            if leaf.shape[1:2] != (shard_size,):
                raise ValueError(
                    "sample must return arrays whose first axis is the image axis, of "
                    f"length {shard_size}; result{jax.tree_util.keystr(path)} has "
                    f"shape {leaf.shape[1:]}"
                )
        fetched = jax.tree.map(lambda x: devices.unshard(x)[:count], result)
        bar.update(count)
        return fetched
