"""A model at other image sizes than that of its training."""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment.builders import make_degradation, size_multiple
from colddiff_jax.experiment.model import Model
from colddiff_jax.models.preconditioning import is_local
from colddiff_jax.sampling import RestoreFn, Tiled

TILE = 512
"""The side of the tiles of a local network, in pixels."""
OVERLAP = 64
"""What neighbouring tiles share, in pixels."""


@dataclasses.dataclass(frozen=True)
class Sizing:
    """How a model restores images of any size.

    A local network restores whole images, and large ones in tiles. Any other has
    attention, or normalises over the whole image, and knows only the size that it was
    trained at: smaller images are padded to it, and larger ones restored in tiles of
    that size. D always degrades whole images.

    Attributes:
        tile: side of the tiles, in pixels.
        overlap: what neighbouring tiles share.
        multiple: the sides of padded images are multiples of this.
        least: the least side of padded images.
    """

    tile: int
    overlap: int
    multiple: int
    least: int

    @classmethod
    def of(cls, model: Model, tile: int = TILE) -> "Sizing":
        """Returns the sizing of a model.

        Args:
            model: the model.
            tile: side of the tiles of a local network; rounded up to a multiple.
        """
        trained = model.image_shape[0]
        multiple = math.lcm(
            getattr(model.network, "size_multiple", trained),
            size_multiple(model.config["degradation"], trained),
        )
        if is_local(model.network):
            tile = -(-max(tile, 2 * OVERLAP) // multiple) * multiple
            return cls(tile, OVERLAP, multiple, multiple)
        overlap = max(1, min(trained // 4, trained - multiple))
        if trained - overlap < multiple:  # The network takes its own size alone.
            multiple = 1
        return cls(trained, overlap, multiple, trained)

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Returns the size that images of this size are padded to."""
        rows, columns = (
            -(-max(side, self.least) // self.multiple) * self.multiple
            for side in (height, width)
        )
        return rows, columns

    def pad(self, image: np.ndarray) -> np.ndarray:
        """Pads an image [H, W, C] at the bottom and on the right, by reflection."""
        height, width, _ = image.shape
        rows, columns = self.padded(height, width)
        amounts = ((0, rows - height), (0, columns - width), (0, 0))
        return np.pad(image, amounts, mode="symmetric")

    def restore_fn(self, model: Model, params: Any) -> RestoreFn:
        """Returns R(x_t, t) for padded images of any size, for any sampler."""
        return Tiled(
            model.restore_fn(params), self.tile, self.overlap, multiple=self.multiple
        )


def degradation_at(model: Model, image_size: tuple[int, int]) -> Degradation:
    """Returns the degradation of a model for images of another (height, width)."""
    if image_size == model.image_shape[:2]:
        return model.degrade
    fields = json.dumps(model.config["degradation"], sort_keys=True)
    return _degradation(fields, model.image_shape[0], image_size)


# The tables of a large photograph take seconds to compute, and gigabytes to keep.
@functools.lru_cache(maxsize=1)
def _degradation(fields: str, trained: int, image_size: tuple[int, int]) -> Degradation:
    parsed: Mapping[str, Any] = json.loads(fields)
    return make_degradation(parsed, trained, at=image_size)
