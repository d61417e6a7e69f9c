"""PyTorch's DataLoader over images in memory, without an end."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler, TensorDataset


class EndlessShuffle(Sampler[int]):
    """The indices of all images in a random order, again and again."""

    def __init__(self, num_images: int):
        self._num_images = num_images

    def __iter__(self) -> Iterator[int]:
        while True:
            yield from torch.randperm(self._num_images).tolist()


def batches(
    images: np.ndarray, batch_size: int, *, whole: bool = False, num_workers: int = 0
) -> Iterator[list[torch.Tensor]]:
    """Returns uint8 batches [B, C, H, W].

    Args:
        images: uint8 [N, H, W, C].
        batch_size: B.
        whole: whether to index the images once per batch, the fastest form, instead of
            once per image, the usual form.
        num_workers: the number of worker processes.
    """
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    order = EndlessShuffle(len(images))
    return iter(
        DataLoader(
            TensorDataset(tensor),
            batch_size=None if whole else batch_size,
            sampler=BatchSampler(order, batch_size, True) if whole else order,
            num_workers=num_workers,
            # JAX has threads, so that this process must not be forked.
            multiprocessing_context="spawn" if num_workers else None,
        )
    )
