"""Snowfall of increasing density."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.separable import precise_einsum


class _Level(NamedTuple):
    """Constants of a snow level; pairs are values at t = 1 and t = T."""

    mean: float
    std: float
    zoom: float
    threshold: tuple[float, float]
    kernel_size: int
    motion_std: tuple[float, float]
    brightness: tuple[float, float]


_LEVELS = {
    1: _Level(0.1, 0.3, 3.0, (0.7, 0.3), 5, (0.5, 5.0), (0.95, 0.7)),
    2: _Level(0.55, 0.3, 2.5, (1.15, 0.7), 11, (0.05, 12.0), (0.95, 0.55)),
    3: _Level(0.55, 0.3, 2.5, (1.15, 0.7), 11, (0.05, 16.0), (0.95, 0.4)),
    4: _Level(0.55, 0.3, 2.5, (1.15, 0.55), 11, (0.05, 20.0), (0.95, 0.3)),
}
_LUMA = (0.299, 0.587, 0.114)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Snow:
    """Snow over an image, from a random field of flakes drawn once per example.

    Made by `snow`.

    Attributes:
        thresholds: float32 [T + 1]; the field counts as snow from this value upwards.
        taps: float32 [T + 1, K], kernels of the motion blur of the flakes.
        brightness: float32 [T + 1], the fraction of the image that is not brightened.
        zoom: (rows, columns), float32 [H, H] and [W, W], matrices that crop and enlarge
            the noise into flakes.
        mean: mean of the noise, float32 [].
        std: standard deviation of the noise, float32 [].
        flakes: enlarged field, float32 [B, H, W] or [1, H, W]; None before `bind`.
        vertical: whether the flakes fall along the columns, bool [B] or [1]; None
            before `bind`.
        brighten: whether the image is also brightened.
        num_steps: T.

    Example:
        >>> degrade = snow(32, num_steps=10)
        >>> degrade.bind(jax.random.key(0), (4, 32, 32, 3)).flakes.shape
        (4, 32, 32)
    """

    thresholds: chex.Array
    taps: chex.Array
    brightness: chex.Array
    zoom: tuple[chex.Array, chex.Array]
    mean: chex.Array
    std: chex.Array
    flakes: chex.Array | None
    vertical: chex.Array | None
    brighten: bool = dataclasses.field(metadata={"static": True})
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        rows, columns = self.zoom
        size = np.shape(rows)[-1:] + np.shape(columns)[-1:]
        return base.describe("snow", self.num_steps, size)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one field and one direction per example, replacing given ones."""
        size = self._image_size()

        def draw(key: chex.PRNGKey) -> tuple[chex.Array, chex.Array]:
            field_key, direction_key = jax.random.split(key)
            field = self.mean + self.std * jax.random.normal(field_key, size)
            return field, jax.random.bernoulli(direction_key)

        fields, vertical = jax.vmap(draw)(prng.keys_per_example(key, shape[0]))
        return self.with_field(fields, vertical)

    def with_field(self, field: chex.Array, vertical: chex.Array | bool) -> Self:
        """Returns this snowfall with a given noise field and direction.

        Args:
            field: float [B, H, W], or [H, W] shared by all examples; `bind` draws it
                from a normal distribution with the mean and std of the level.
            vertical: whether the flakes fall along the columns, bool [B] or [].

        Raises:
            TypeError: vertical is not bool [B] or [].
            ValueError: the field has another size.
        """
        field, vertical = jnp.asarray(field), jnp.asarray(vertical)
        if field.shape[-2:] != self._image_size() or field.ndim not in (2, 3):
            raise ValueError(
                "field must have shape [B, H, W] or [H, W] with (H, W) = "
                f"{self._image_size()}, got {field.shape}"
            )
        if vertical.dtype != bool or vertical.ndim > 1:
            raise TypeError(
                "vertical must be one bool, or one per example, got dtype "
                f"{vertical.dtype} and shape {vertical.shape}"
            )
        field = field.astype(jnp.float32).reshape(-1, *field.shape[-2:])
        flakes = precise_einsum("ij,bjw,kw->bik", self.zoom[0], field, self.zoom[1])
        return dataclasses.replace(
            self, flakes=flakes, vertical=jnp.atleast_1d(vertical)
        )

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: `bind` was not called, or was called for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps, self._image_size())
        flakes = base.check_bound(self.flakes, x, "a random field")
        vertical = base.check_bound(self.vertical, x, "a random direction")
        flakes = jnp.broadcast_to(flakes, x.shape[:3])
        vertical = jnp.broadcast_to(vertical, x.shape[:1])
        t = jnp.broadcast_to(t, x.shape[:1])
        layer = self._layer(flakes, vertical, t)
        layer = layer + layer[:, ::-1, ::-1]
        image = (x.astype(jnp.float32) + 1) / 2
        if self.brighten:
            brightness = base.per_example(self.brightness[t], x)
            brightened = jnp.maximum(image, 1.5 * _luma(image) + 0.5)
            image = brightness * image + (1 - brightness) * brightened
        x_t = 2 * jnp.clip(image + layer[..., None], 0, 1) - 1
        return base.keep_clean(x, x_t, t)

    def _layer(
        self, flakes: chex.Array, vertical: chex.Array, t: chex.Array
    ) -> chex.Array:
        """Returns the falling flakes at step t, [B, H, W] in [0, 1]."""
        thresholds = self.thresholds[t][:, None, None]
        visible = jnp.clip(jnp.where(flakes < thresholds, 0.0, flakes), 0, 1)
        taps, size = self.taps[t], self.taps.shape[1]
        identity = jnp.zeros(size).at[size // 2].set(1.0)
        vertical = vertical[:, None]
        layer = _convolve(visible, jnp.where(vertical, taps, identity), axis=1)
        return _convolve(layer, jnp.where(vertical, identity, taps), axis=2)

    def _image_size(self) -> tuple[int, int]:
        return self.zoom[0].shape[-1], self.zoom[1].shape[-1]


def snow(
    image_size: int | Sequence[int],
    num_steps: int,
    *,
    level: int = 3,
    brighten: bool = False,
) -> Snow:
    """Makes a snowfall that grows from a few flakes to most of the image.

        D(x, t) = 2 clip(o_t + s_t + rot180(s_t), 0, 1) - 1,    o = (x + 1) / 2
        s_t = k_t * clip(g where g >= threshold_t else 0, 0, 1)
        o_t = o, or brightened: b_t o + (1 - b_t) max(o, 1.5 luma(o) + 0.5)

    where g is a Gaussian field enlarged by a factor of `zoom`, and k_t is a Gaussian
    motion blur along the rows or columns. The threshold, the width of k_t and the
    brightness b_t change linearly from t = 1 to t = T; if T = 1, only their first
    values are used. Each example keeps its field for all t, of which more and more
    becomes visible and increasingly blurred. No other degradation clips.

    Args:
        image_size: side of the images in pixels, or (height, width).
        num_steps: T, the number of steps.
        level: 1 (light) to 4 (heavy); the paper uses 3 for CIFAR-10 and 4 for CelebA,
            both with T = 200.
        brighten: also brighten the image. If there are not three channels, luma is
            their mean.

    Returns:
        A degradation that must be bound before it is called; `bind` draws a field and a
        direction, along the rows or the columns, per example.

    Raises:
        ValueError: an unknown level, or num_steps is not a positive integer.

    Example:
        >>> degrade = snow(32, num_steps=200).bind(jax.random.key(0), x.shape)
        >>> x_t = degrade(x, t=100)

    Reference:
        Bansal et al. (2022), section 4.4; `snowification` in the official code, after
        ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261). By default, it
        shares one field among all images of a batch, and it draws fields on the host.
        Its flag `fix_brightness` is brighten=False. Its `single_snow`, which changes
        the direction at every level, is omitted.
    """
    image_size = checks.check_image_size(image_size)
    num_steps = checks.check_num_steps(num_steps)
    checks.check_choice("level", level, _LEVELS)
    constants = _LEVELS[level]

    def per_step(first_and_last: tuple[float, float]) -> np.ndarray:
        values = np.linspace(*first_and_last, num_steps)
        return np.concatenate([values[:1], values])  # Step 0 is unused.

    offsets = np.arange(constants.kernel_size) - constants.kernel_size // 2
    taps = np.exp(-(offsets**2) / (2 * per_step(constants.motion_std)[:, None] ** 2))
    rows, columns = (_zoom_matrix(side, constants.zoom) for side in image_size)
    return Snow(
        thresholds=jnp.asarray(per_step(constants.threshold), jnp.float32),
        taps=jnp.asarray(taps / taps.sum(axis=1, keepdims=True), jnp.float32),
        brightness=jnp.asarray(per_step(constants.brightness), jnp.float32),
        zoom=(jnp.asarray(rows, jnp.float32), jnp.asarray(columns, jnp.float32)),
        mean=jnp.float32(constants.mean),
        std=jnp.float32(constants.std),
        flakes=None,
        vertical=None,
        brighten=brighten,
        num_steps=num_steps,
    )


def _zoom_matrix(side: int, zoom: float) -> np.ndarray:
    """Returns [side, side], which enlarges the middle `side / zoom` samples to `side`.

    It interpolates linearly with the end samples fixed, like scipy.ndimage.zoom, and
    crops to the middle if there are too many samples.
    """
    crop = int(np.ceil(side / zoom))
    start = (side - crop) // 2
    enlarged = round(crop * zoom)
    trim = (enlarged - side) // 2
    positions = (np.arange(side) + trim) * (crop - 1) / max(enlarged - 1, 1)
    index = np.minimum(positions.astype(int), max(crop - 2, 0))
    fraction = positions - index
    matrix = np.zeros((side, side))
    pixels = np.arange(side)
    np.add.at(matrix, (pixels, start + index), 1 - fraction)
    np.add.at(matrix, (pixels, start + np.minimum(index + 1, crop - 1)), fraction)
    return matrix


def _convolve(images: chex.Array, taps: chex.Array, axis: int) -> chex.Array:
    """Convolves images [B, H, W] along an axis with taps [B, K], zero-padded.

    On a CPU, a sum of shifted images is far faster than a grouped convolution.
    """
    size, side = taps.shape[1], images.shape[axis]
    padding = [(0, 0)] * 3
    padding[axis] = (size // 2, size // 2)
    padded = jnp.pad(images, padding)
    return sum(
        taps[:, i, None, None] * jax.lax.slice_in_dim(padded, i, i + side, axis=axis)
        for i in range(size)
    )


def _luma(image: chex.Array) -> chex.Array:
    """Returns the luma [B, H, W, 1] of images with any number of channels."""
    channels = image.shape[-1]
    weights = _LUMA if channels == 3 else channels * (1 / channels,)
    return sum(w * image[..., c : c + 1] for c, w in enumerate(weights))
