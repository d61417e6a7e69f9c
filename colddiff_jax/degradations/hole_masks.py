"""Inpainting masks: holes of any place and size that grow from their middle."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.filling import fill_smoothly

_MAX_ASPECT = 8.0
_MAX_HOLES = 5000  # In one image; each is drawn on all of its pixels.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Holes:
    """A mask with holes, D(x, t) = M_t x per pixel. Made by `holes`.

    Attributes:
        depths: h, float32 [B, H, W, 1]: 0 outside the holes, and in each of them from 0
            at its border to 1 in its middle. None before `bind` or `with_mask`.
        radii: bounds of the radii of random holes in pixels, float32 [2].
        image_size: (H, W).
        num_holes: the largest number of random holes in an image.
        num_steps: T.

    Example:
        >>> degrade = holes(5, num_steps=2).with_mask(np.eye(5)[None])
        >>> degrade(jnp.ones((1, 5, 5, 1)), t=2)[0, 1, :, 0]
        Array([1., 0., 1., 1., 1.], dtype=float32)
    """

    depths: chex.Array | None
    radii: chex.Array
    image_size: tuple[int, int] = dataclasses.field(metadata={"static": True})
    num_holes: int = dataclasses.field(metadata={"static": True})
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return base.describe("holes", self.num_steps, self.image_size)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws the holes of each example."""
        depths = jax.vmap(self._draw)(prng.keys_per_example(key, shape[0]))
        return dataclasses.replace(self, depths=depths)

    def with_mask(self, masks: np.ndarray) -> Self:
        """Returns this degradation with given holes instead of random ones.

        Args:
            masks: [B, H, W] or [1, H, W], not 0 in the holes, on the host.

        Raises:
            ValueError: masks of another shape.
        """
        masks = np.asarray(masks)
        if masks.ndim != 3 or masks.shape[1:] != self.image_size:
            raise ValueError(
                f"masks must have the shape [B, {self.image_size[0]}, "
                f"{self.image_size[1]}], got {masks.shape}"
            )
        depths = np.stack([_depths(mask != 0) for mask in masks])
        return dataclasses.replace(self, depths=jnp.asarray(depths[..., None]))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: neither `bind` nor `with_mask` was called, or for another batch
                size.
        """
        x, t = base.check_call(x, t, self.num_steps, self.image_size)
        return base.keep_clean(x, jnp.where(self._remaining(x, t), x, 0.0), t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns y where the pixel remains, else 0; see `Linear`."""
        y, t = base.check_call(y, t, self.num_steps, self.image_size)
        remaining = self._remaining(y, t).astype(jnp.float32)
        return base.divide(y.astype(jnp.float32), remaining, cutoff, damping)

    def filled(self, y: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns degraded images whose holes are filled smoothly; `fill_smoothly`."""
        y, t = base.check_call(y, t, self.num_steps, self.image_size)
        return fill_smoothly(y, self._remaining(y, t))

    def _remaining(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Returns whether each pixel remains at step t, bool [B, H, W, 1]."""
        depths = base.check_bound(self.depths, x, "random holes")
        least = (self.num_steps - t) / self.num_steps
        least = base.per_example(jnp.where(t == 0, 1.0, least), x)
        return depths <= least

    def _draw(self, key: chex.PRNGKey) -> chex.Array:
        """Draws the depths of one example, float32 [H, W, 1]."""
        height, width = self.image_size
        keys = jax.random.split(key, 5)
        shape = (self.num_holes,)
        ends = jnp.array([[height, width]], jnp.float32)
        centers = jax.random.uniform(keys[0], (*shape, 2)) * ends
        low, high = jnp.log(self.radii)
        radii = jnp.exp(jax.random.uniform(keys[1], shape, minval=low, maxval=high))
        aspects = _MAX_ASPECT ** jax.random.uniform(keys[2], shape)
        angles = jax.random.uniform(keys[3], shape, maxval=jnp.pi)
        square, present = jax.random.bernoulli(keys[4], 0.5, (2, *shape))
        rows = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
        columns = jnp.arange(width, dtype=jnp.float32)[None, :] + 0.5

        def add(depths: chex.Array, hole: tuple) -> tuple[chex.Array, None]:
            center, radius, aspect, angle, square, present = hole
            y, x = rows - center[0], columns - center[1]
            along = jnp.abs(jnp.cos(angle) * x + jnp.sin(angle) * y) / radius
            across = jnp.abs(jnp.cos(angle) * y - jnp.sin(angle) * x) * aspect / radius
            ellipse = jnp.sqrt(along**2 + across**2)
            distance = jnp.where(square, jnp.maximum(along, across), ellipse)
            return jnp.maximum(depths, jnp.where(present, 1 - distance, 0.0)), None

        properties = (centers, radii, aspects, angles, square, present)
        depths, _ = jax.lax.scan(add, jnp.zeros((height, width)), properties)
        return depths[..., None]


def holes(
    image_size: int | Sequence[int],
    num_steps: int,
    *,
    radii: tuple[float, float] = (2.0, 16.0),
    density: float = 4.0,
) -> Holes:
    """Makes an inpainting mask with holes that grow from their middle to their border.

        D(x, t) = M_t x,    M_t(u) = 1 if h(u) <= 1 - t / T else 0

    where h(u) is 0 outside the holes and rises from 0 at the border of a hole to 1 in
    its middle. D(x, T) lacks the whole holes, and a sampler fills them from their
    borders inwards. Missing pixels are 0, mid-grey, which no 8-bit image contains.

    The holes are random ellipses and rectangles, up to eight times as long as they are
    wide, or those of a given mask: `holes(...).with_mask(masks)`.

    Args:
        image_size: side of the images in pixels, or (height, width).
        num_steps: T, the number of steps.
        radii: bounds of half the length of random holes, in pixels, whatever the
            image's size; its logarithm is uniform.
        density: the largest number of random holes per 1,000 pixels; each is present in
            every other image.

    Returns:
        A degradation that must be bound before it is called.

    Raises:
        ValueError: a number of steps, radii or a density that is not positive, or radii
            that decrease.

    Example:
        >>> degrade = holes(32, num_steps=5)
        >>> x = jnp.zeros((4, 32, 32, 3))
        >>> degrade.bind(jax.random.key(0), x.shape)(x, t=5).shape
        (4, 32, 32, 3)

    Reference:
        Not in the paper, whose masks are Gaussians: see `gaussian_mask`.
    """
    height, width = checks.check_image_size(image_size)
    checks.check_num_steps(num_steps)
    checks.check_number("density", density, "be positive", lambda v: v > 0)
    bounds = np.asarray(radii, np.float64)
    if bounds.shape != (2,) or not 0 < bounds[0] <= bounds[1] < np.inf:
        raise ValueError(
            "radii must be two positive numbers, the smallest and the largest, got "
            f"{radii!r}"
        )
    num_holes = min(_MAX_HOLES, int(np.ceil(density * height * width / 1000)))
    return Holes(
        depths=None,
        radii=jnp.asarray(bounds, jnp.float32),
        image_size=(height, width),
        num_holes=num_holes,
        num_steps=int(num_steps),
    )


def _depths(mask: np.ndarray) -> np.ndarray:
    """Returns the depths of the holes of a mask, float32 [H, W].

    In every connected hole, the distance to its border, over the largest one.
    """
    from scipy import ndimage  # Slow to import.

    # Outside the image is no border: nothing is known there.
    distances = ndimage.distance_transform_edt(mask) if not mask.all() else mask
    labels, num_labels = ndimage.label(mask, np.ones((3, 3)))
    largest = ndimage.maximum(distances, labels, np.arange(num_labels + 1))
    largest = np.maximum(np.atleast_1d(largest), 1.0)
    return (distances / largest[labels]).astype(np.float32)
