"""Feature networks, from whose outputs distances between sets are computed."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from colddiff_jax.checks import check_images
from colddiff_jax.reprs import short_repr


class Features(NamedTuple):
    """Outputs of a feature network for a batch of images.

    Attributes:
        pooled: features, float32 [B, F], on which distances are computed.
        probabilities: class probabilities, float32 [B, K], for the Inception Score;
            None for a network without classes.

    Example:
        >>> Features(pooled=np.zeros((8, 64))).probabilities is None
        True
    """

    pooled: chex.Array
    probabilities: chex.Array | None = None

    def __repr__(self) -> str:
        return short_repr(self)


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNet:
    """A network, or any other function, for distances between sets of images.

    Attributes:
        name: name in tables. Saved scores and references are identified by `name` and
            `params`, not by the code of `apply`: choose a new name if the code changes.
        apply: jittable function apply(params, x) of images x, float32 [B, H, W, C] in
            [-1, 1], with their original size and channels; it resizes them and converts
            grey to RGB itself as needed.
        params: weights, any pytree of arrays.
        is_fid: whether its Frechet distance is the FID of the literature.

    Example:
        >>> colours = FeatureNet("mean colour", lambda _, x: Features(x.mean((1, 2))))
        >>> colours(np.zeros((8, 32, 32, 3), np.float32)).pooled.shape
        (8, 3)
    """

    name: str
    apply: Callable[[Any, chex.Array], Features]
    params: Any = ()
    is_fid: bool = False

    def __repr__(self) -> str:
        return short_repr(self)

    def __call__(self, x: chex.Array) -> Features:
        """Computes the features of images, float32 [B, H, W, C] in [-1, 1].

        Raises:
            TypeError: images that are not floating point.
            ValueError: images that are empty or not [B, H, W, C].
        """
        return self.apply(self.params, check_images(x))

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of name and weights, which identifies the features."""
        digest = hashlib.sha256(self.name.encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.params):
            array = np.asarray(leaf)
            digest.update(f"{path} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]
