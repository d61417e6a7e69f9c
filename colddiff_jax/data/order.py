"""Which images a batch shows; a pure function of (seed, step)."""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

_WINDOWS = 1  # Sets the random numbers of windows apart from those of the order.


class Windows(NamedTuple):
    """The images of a batch, and where their windows lie.

    Attributes:
        indices: of the images, int64 [..., B].
        places: of the windows, float64 [..., B, 2] in [0, 1): from top to bottom and
            from left to right.
    """

    indices: np.ndarray
    places: np.ndarray


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
    shards = _Shards(num_images, batch_size // shard[1], seed)
    return _of_process(shards, first_step, shard)


def batch_windows(
    num_images: int,
    batch_size: int,
    *,
    seed: int,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Any:
    """Returns the images in the batch of every step, and a random window of each.

    They are a pure function of (seed, step, index in the batch). The images are those
    of `batch_indices`; a batch that is larger than the set has several windows of some.

    Args:
        num_images: as for `batch_indices`.
        batch_size: as for `batch_indices`.
        seed: of the order and the windows.
        first_step: as for `batch_indices`.
        shard: as for `batch_indices`.

    Returns:
        An endless `grain.MapDataset` of `Windows` of batch_size / P images.

    Example:
        >>> batch_windows(5, 16, seed=0)[0].places.shape
        (16, 2)
    """
    shards = _Shards(num_images, batch_size // shard[1], seed)
    return _of_process(_ShardsOfWindows(shards), first_step, shard)


def _of_process(shards: Any, first_step: int, shard: tuple[int, int]) -> Any:
    """Returns every P-th shard, those of process p of P, from a step on."""
    import grain

    process, num_processes = shard
    first_shard = num_processes * first_step + process
    return grain.MapDataset.source(shards)[first_shard::num_processes]


@dataclasses.dataclass(frozen=True)
class _Shards:
    """The image indices of each shard, computed all at once: a step may take 1 ms."""

    num_images: int
    shard_size: int
    seed: int

    def __len__(self) -> int:
        return 2**53  # Practically endless, and exact as the float Grain converts to.

    def positions(self, shard: int) -> np.ndarray:
        """Returns the numbers of its examples, counted from the start of the run."""
        return shard * self.shard_size + np.arange(self.shard_size)

    def __getitem__(self, shard: int) -> np.ndarray:
        positions = self.positions(shard)
        epochs, offsets = np.divmod(positions, self.num_images)
        indices = np.empty_like(positions)
        for epoch in np.unique(epochs):
            in_epoch = epochs == epoch
            permutation = _permutation(self.num_images, self.seed, int(epoch))
            indices[in_epoch] = permutation[offsets[in_epoch]]
        return indices


@dataclasses.dataclass(frozen=True)
class _ShardsOfWindows:
    """The images of each shard, and their windows."""

    shards: _Shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, shard: int) -> Windows:
        places = [
            np.random.default_rng((self.shards.seed, position, _WINDOWS)).random(2)
            for position in self.shards.positions(shard).tolist()
        ]
        return Windows(self.shards[shard], np.stack(places))


@functools.lru_cache(maxsize=4)
def _permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(num_images)
