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
    program is compiled, once, for all batches and all later calls; each device of this
    process works on its share of every batch.

    Args:
        sample: called as sample(shared, batch) with one device's share of a batch;
            returns arrays, in any structure, whose first axis is that of the images.
            The trajectory of a `SampleResult` has it second: swap it. What is random
            follows from the images' numbers, if they are part of the batch.
        batch_size: images at once, over these devices; a multiple of their number.

    Raises:
        InputError: a batch size that does not divide among the devices.

    Example:
        >>> def sample(shared, x_T):
        ...     restore_fn, degrade = shared
        ...     return sample_alg2(restore_fn, degrade, x_T).x_0
        >>> restore_fn = jax.tree_util.Partial(model.apply, {"params": params})
        >>> restore = BatchSampler(sample, batch_size=64)
        >>> x_0 = restore((restore_fn, degrade), x_T)   # x_T: [N, H, W, C], any N
    """

    def __init__(self, sample: Callable[[Any, Any], Any], *, batch_size: int):
        self._num_devices = parallel.num_local_devices()
        parallel.check_batch_size("batch_size", batch_size, self._num_devices)
        self._batch_size = batch_size
        self._sample = parallel.over_devices(sample)

    def __call__(self, shared: Any, images: Any, *, progress: str = "") -> Any:
        """Samples images that are in memory.

        Args:
            shared: what all images have in common, such as (restore_fn, degrade).
            images: a NumPy or JAX array [N, ...], or such arrays in any structure.
            progress: text before a progress bar on the terminal; none if empty.

        Returns:
            What `sample` returns, for all N images, as NumPy arrays.

        Raises:
            ValueError: no images, or arrays of different lengths.
        """
        lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(images)}
        if len(lengths) != 1 or lengths & {(), (0,)}:
            raise ValueError(
                "images must be arrays with one and the same number of images, at "
                f"least one; got shapes that begin with {sorted(lengths)}"
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

        The next batch is loaded and under way on the devices while the results of the
        one before are used.

        Args:
            shared: what all images have in common.
            load: load(start, stop) returns the images start..stop - 1, as NumPy arrays.
            num_images: how many there are.
            progress: text before a progress bar on the terminal; none if empty.

        Yields:
            What `sample` returns for the images of each batch, as NumPy arrays.

        Raises:
            ValueError: `load` or `sample` returns another number of images.
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
                batch = self._whole_batch(load(start, stop), stop - start)
                under_way.append((self._sample(shared, batch), stop - start))
                if len(under_way) > 1:
                    yield self._fetch(*under_way.pop(0), bar)
            for result, count in under_way:
                yield self._fetch(result, count, bar)

    def _whole_batch(self, images: Any, count: int) -> Any:
        """The images of a batch, filled up with copies of the last, by device."""

        def fill(leaf: np.ndarray) -> np.ndarray:
            if np.shape(leaf)[:1] != (count,):
                raise ValueError(
                    f"load should have returned {count} images, and returned an array "
                    f"of shape {np.shape(leaf)}"
                )
            padding = ((0, self._batch_size - count), *((0, 0),) * (leaf.ndim - 1))
            return parallel.shard(np.pad(leaf, padding, mode="edge"), self._num_devices)

        return jax.tree.map(fill, images)

    def _fetch(self, result: Any, count: int, bar: Any) -> Any:
        """The results of a batch, without those of the copies."""
        share = self._batch_size // self._num_devices
        for path, leaf in jax.tree_util.tree_leaves_with_path(result):
            if leaf.shape[1:2] != (share,):
                raise ValueError(
                    "sample must return arrays whose first axis is that of its "
                    f"{share} images; result{jax.tree_util.keystr(path)} has shape "
                    f"{leaf.shape[1:]}"
                )
        fetched = jax.tree.map(lambda x: parallel.unshard(x)[:count], result)
        bar.update(count)
        return fetched
