"""Any number of images, on all devices, through one compiled program."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from colddiff_jax import parallel


class BatchSampler:
    """Runs a sampler, or any function of a batch, over any number of images.

    Every batch has the same shape, whatever the number of images: the last one is
    filled up with copies of its last image, and what they give is thrown away. So one
    program is compiled, once, for all batches and all later calls; each device works on
    its share of every batch.

    Args:
        sample: called as sample(shared, batch) with one device's share of a batch;
            returns arrays, in any structure, whose first axis is that of the images.
            The trajectory of a `SampleResult` has it second: swap it.
        batch_size: images at once, over all devices; a multiple of their number.

    Raises:
        InputError: a batch size that does not divide among the devices.

    Example:
        >>> def sample(shared, x_T):
        ...     restore_fn, degrade = shared
        ...     return sample_alg2(restore_fn, degrade, x_T).x_0
        >>> restore = BatchSampler(sample, batch_size=64)
        >>> x_0 = restore((restore_fn, degrade), x_T)   # x_T: [N, H, W, C], any N
    """

    def __init__(self, sample: Callable[[Any, Any], Any], *, batch_size: int):
        self._num_devices = jax.local_device_count()
        parallel.check_batch_size("batch_size", batch_size, self._num_devices)
        self._batch_size = batch_size
        self._sample = jax.pmap(sample, in_axes=(None, 0))

    def __call__(self, shared: Any, images: Any, *, progress: str = "") -> Any:
        """Samples images that are in memory.

        Args:
            shared: what all images have in common, such as (restore_fn, degrade).
            images: an array [N, ...], or arrays in any structure.
            progress: text before a progress bar on the terminal; none if empty.

        Returns:
            What `sample` returns, for all N images, as NumPy arrays.

        Raises:
            ValueError: no images, or arrays of different lengths.
        """
        lengths = {len(leaf) for leaf in jax.tree.leaves(images)}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                "images must be arrays with one and the same number of images, at "
                f"least one; got lengths {sorted(lengths)}"
            )

        def load(start: int, stop: int) -> Any:
            return jax.tree.map(lambda leaf: np.asarray(leaf[start:stop]), images)

        batches = self.stream(shared, load, *lengths, progress=progress)
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

        The next batch is loaded and under way on the devices while the results of the
        one before are used.

        Args:
            shared: what all images have in common.
            load: load(start, stop) returns the images start..stop - 1, as NumPy arrays.
            num_images: how many there are.
            progress: text before a progress bar on the terminal; none if empty.

        Yields:
            What `sample` returns for the images of each batch, as NumPy arrays.
        """
        from tqdm import tqdm

        shared = parallel.replicate(shared)
        under_way: list[tuple[Any, int]] = []
        # Without a terminal to draw on, tqdm's None means no bar.
        disable = None if progress else True
        with tqdm(
            total=num_images, desc=progress, unit=" images", disable=disable
        ) as bar:
            for start in range(0, num_images, self._batch_size):
                stop = min(start + self._batch_size, num_images)
                batch = jax.tree.map(self._whole_batch, load(start, stop))
                under_way.append((self._sample(shared, batch), stop - start))
                if len(under_way) > 1:
                    yield self._fetch(*under_way.pop(0), bar)
            for result, count in under_way:
                yield self._fetch(result, count, bar)

    def _whole_batch(self, images: np.ndarray) -> np.ndarray:
        missing = self._batch_size - len(images)
        padding = ((0, missing), *((0, 0),) * (images.ndim - 1))
        return parallel.shard(np.pad(images, padding, mode="edge"), self._num_devices)

    def _fetch(self, result: Any, count: int, bar: Any) -> Any:
        fetched = jax.tree.map(lambda x: parallel.unshard(x)[:count], result)
        bar.update(count)
        return fetched
