"""Networks whose features tell how far apart two sets of images are."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import numpy as np


class Features(NamedTuple):
    """What a network says of images.

    Attributes:
        pooled: float32 [B, F], which distances are measured on.
        probabilities: float32 [B, K], of the network's classes, for the Inception
            Score; None for a network without classes.
    """

    pooled: chex.Array
    probabilities: chex.Array | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNet:
    """A network for distances between sets of images; any function will do.

    Attributes:
        name: under which its distances are printed. Scores on disk and references are
            told apart by it and by `params`, not by the code of `apply`: a function
            that has changed needs another name.
        apply: apply(params, x) with x float32 [B, H, W, C] in [-1, 1], of the images'
            own size and channels: it resizes and repeats grey as it needs. Jittable.
        params: its weights, in any structure of arrays.
        is_fid: whether its Frechet distance is what the literature calls FID.

    Example:
        >>> colours = FeatureNet("mean colour", lambda _, x: Features(x.mean((1, 2))))
        >>> colours(x).pooled.shape
        (8, 3)
    """

    name: str
    apply: Callable[[Any, chex.Array], Features]
    params: Any = ()
    is_fid: bool = False

    def __call__(self, x: chex.Array) -> Features:
        """The features of images, float32 [B, H, W, C] in [-1, 1]."""
        return self.apply(self.params, x)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the name and the weights: the same for the same features."""
        digest = hashlib.sha256(self.name.encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.params):
            array = np.asarray(leaf)
            digest.update(f"{path} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]
