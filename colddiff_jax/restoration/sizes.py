"""A model at other image sizes than that of its training."""

import dataclasses
import functools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import prng
from colddiff_jax.degradations import Holes
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.degradations.function import FunctionDegradation
from colddiff_jax.experiment.builders import make_degradation, size_multiple
from colddiff_jax.experiment.model import Model
from colddiff_jax.models.preconditioning import is_local
from colddiff_jax.restoration.endpoints import with_images
from colddiff_jax.sampling import RestoreFn, Tiled
from colddiff_jax.sampling.consistency import with_factors

TILE = 512
"""The side of the tiles of a local network, in pixels."""
OVERLAP = 64
"""What neighbouring tiles share, in pixels."""
# Images of one size are processed together, as many as have this number of pixels.
_PIXELS_AT_ONCE = 2**18


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
            getattr(model.network, "size_multiple", None) or trained,
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

    def network_fn(self, model: Model, params: Any) -> RestoreFn:
        """Returns the network of R for padded images of any size."""
        return Tiled(
            model.network_fn(params), self.tile, self.overlap, multiple=self.multiple
        )


def degradation_at(
    model: Model, image_size: tuple[int, int], *, factors: bool = False
) -> Degradation:
    """Returns the degradation of a model for images of another (height, width).

    Args:
        model: the model.
        image_size: of the images.
        factors: whether to include the tables of its pseudo-inverse, if it has any.
    """
    # A function of an image is the same for images of any size, and so is a blend with
    # them.
    of_any_size = isinstance(model.degrade, FunctionDegradation) or model.paired
    if of_any_size or (image_size == model.image_shape[:2] and not factors):
        return model.degrade
    fields = json.dumps(model.config["degradation"], sort_keys=True)
    return _degradation(fields, model.image_shape[0], image_size, factors)


def map_by_size(
    model: Model,
    params: Any,
    images: Sequence[np.ndarray],
    steps: Sequence[int],
    function: Callable[..., chex.Array],
    *,
    key: chex.PRNGKey | None = None,
    tile: int = TILE,
    factors: bool = False,
    masks: Sequence[np.ndarray] | None = None,
    noises: Sequence[float] | None = None,
) -> list[np.ndarray]:
    """Applies a function to images of any sizes, many of one size and step at once.

    Args:
        model: the model.
        params: its weights.
        images: float32 [H, W, C] each.
        steps: the step of each image.
        function: called as function(t, restore_fn, D, x, keys) with padded images x,
            float32 [B, H, W, C], D bound to them, and one key per image; returns images
            like x. Of a model that was trained on pairs, x is the endpoint of D.
        key: of all random draws, with the index of the image; None for key 0.
        tile: as in `Sizing.of`.
        factors: as in `degradation_at`.
        masks: for `Holes`, bool [H, W] for each image; None draws them.
        noises: the noise of each image, for models of consistent predictions; None for
            the least that they know.

    Returns:
        The results, float [H, W, C] like the images.
    """
    key = jax.random.key(0) if key is None else key
    sizing = Sizing.of(model, tile)
    network = sizing.network_fn(model, params)
    factors = factors or bool(model.consistent_noise)
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i, (image, t) in enumerate(zip(images, steps, strict=True)):
        groups[(sizing.padded(*image.shape[:2]), t)].append(i)
    results: list[np.ndarray] = [np.empty(0)] * len(images)
    for (size, t), members in groups.items():
        degrade = degradation_at(model, size, factors=factors)
        for indices in _batches(members, max(1, _PIXELS_AT_ONCE // math.prod(size))):
            x = jnp.asarray(np.stack([sizing.pad(images[i]) for i in indices]))
            bind_keys, sampler_keys = (
                prng.indexed_keys(jax.random.fold_in(key, i), jnp.asarray(indices))
                for i in range(2)
            )
            if masks is None:
                bound = degrade.bind(bind_keys, x.shape)
                if model.paired:
                    bound = with_images(bound, x, bind_keys)
            else:
                padded = [sizing.pad(masks[i][..., None])[..., 0] for i in indices]
                assert isinstance(degrade, Holes)
                bound = degrade.with_mask(np.stack(padded))
            noise = (
                None if noises is None else jnp.asarray([noises[i] for i in indices])
            )
            restore_fn = model.made_consistent(network, bound, noise)
            outputs = function(t, restore_fn, bound, x, sampler_keys)
            for i, output in zip(indices, np.asarray(outputs), strict=True):
                height, width, _ = images[i].shape
                results[i] = output[:height, :width]
    return results


def _batches(members: Sequence[int], size: int) -> list[list[int]]:
    """Splits indices into batches of one size; the last index fills up the last one."""
    size = min(size, len(members))
    filled = [*members, *[members[-1]] * (-len(members) % size)]
    return [filled[i : i + size] for i in range(0, len(filled), size)]


# The tables of a large photograph take seconds to compute, and gigabytes to keep.
@functools.lru_cache(maxsize=1)
def _degradation(
    fields: str, trained: int, image_size: tuple[int, int], factors: bool
) -> Degradation:
    degrade = make_degradation(json.loads(fields), trained, at=image_size)
    return with_factors(degrade) if factors else degrade
