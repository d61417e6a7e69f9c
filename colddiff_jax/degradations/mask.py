"""Inpainting masks: Gaussians that grow until most of the image is grey."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mask:
    """A mask at a fixed position, D(x, t) = M_t x per pixel.

    Made by `gaussian_mask` with a fixed centre.

    Attributes:
        masks: M, float32 [T + 1, H, W] in [0, 1], with M_0 = 1.
        num_steps: T.

    Example:
        >>> gaussian_mask(5, [1.0, 2.0]).masks[:, 2, 2]   # the middle pixel
        Array([1., 0., 0.], dtype=float32)
    """

    masks: chex.Array
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return base.describe("gaussian_mask", self.num_steps, np.shape(self.masks)[-2:])

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: the mask is the same for every example."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps, self.masks.shape[-2:])
        return _apply(self._masks_at(x, t), x, t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns y / M_t; see `Linear`."""
        y, t = base.check_call(y, t, self.num_steps, self.masks.shape[-2:])
        return base.divide(y.astype(jnp.float32), self._masks_at(y, t), cutoff, damping)

    def _masks_at(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Returns M_t for every example of x, [B, H, W, 1]."""
        return self.masks[jnp.broadcast_to(t, x.shape[:1])][..., None]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class RandomMask:
    """A mask with a random centre per example, D(x, t) = M_t(. - c) x per pixel.

    Made by `gaussian_mask` with `center="random"`. All masks are windows of a table of
    twice the image size, so that moving the centre only takes a slice.

    Attributes:
        masks: float32 [T + 1, 2 H, 2 W] in [0, 1], centred at (H - 1, W - 1).
        windows: int32 [B, 2], first row and column of each example's window; None
            before `bind`.
        num_steps: T.

    Example:
        >>> degrade = gaussian_mask(32, [1.0, 2.0], center="random")
        >>> degrade.bind(jax.random.key(0), (4, 32, 32, 3)).windows.shape
        (4, 2)
    """

    masks: chex.Array
    windows: chex.Array | None
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        size = tuple(side // 2 for side in np.shape(self.masks)[-2:])
        return base.describe("gaussian_mask", self.num_steps, size)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one window per example, uniform over 0..H and 0..W inclusive.

        The centre is then uniform over -1..H - 1 and -1..W - 1, as in the official
        code: it can lie one pixel outside the image.
        """
        largest = jnp.asarray(self._image_size())

        def draw(key: chex.PRNGKey) -> chex.Array:
            return jax.random.randint(key, (2,), 0, largest + 1)

        windows = jax.vmap(draw)(prng.keys_per_example(key, shape[0]))
        return dataclasses.replace(self, windows=windows)

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: `bind` was not called, or was called for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps, self._image_size())
        return _apply(self._masks_at(x, t), x, t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns y / M_t; see `Linear`."""
        y, t = base.check_call(y, t, self.num_steps, self._image_size())
        return base.divide(y.astype(jnp.float32), self._masks_at(y, t), cutoff, damping)

    def _masks_at(self, x: chex.Array, t: chex.Array) -> chex.Array:
        """Returns M_t for every example of x, [B, H, W, 1]."""
        windows = base.check_bound(self.windows, x, "a random centre")
        size = (1, *self._image_size())

        def window(t: chex.Array, corner: chex.Array) -> chex.Array:
            start = (t, corner[0], corner[1])
            return jax.lax.dynamic_slice(self.masks, start, size)[0]

        t = jnp.broadcast_to(t, x.shape[:1]).astype(windows.dtype)
        windows = jnp.broadcast_to(windows, (x.shape[0], 2))
        return jax.vmap(window)(t, windows)[..., None]

    def _image_size(self) -> tuple[int, int]:
        return self.masks.shape[-2] // 2, self.masks.shape[-1] // 2


def gaussian_mask(
    image_size: int | Sequence[int],
    stds: Sequence[float] | np.ndarray,
    *,
    center: Literal["middle", "random"] | tuple[int, int] = "middle",
) -> Mask | RandomMask:
    """Makes an inpainting mask that grows by one inverted Gaussian per step.

        D(x, t) = M_t x,    M_t(u) = prod_{i <= t} (1 - exp(-|u - c|^2 / (2 std_i^2)))

    Masked pixels tend to 0, which is mid-grey in [-1, 1]. All channels share the mask.

    Args:
        image_size: side of the images in pixels, or (height, width).
        stds: standard deviations in pixels, whatever the image's size, one per step.
        center: "middle", which is (side + 1) // 2 - 1 on each axis, as in the official
            code; "random", drawn per example by `bind`; or (row, column).

    Returns:
        A deterministic degradation with T = len(stds) or, with `center="random"`, one
        that must be bound before it is called.

    Raises:
        ValueError: an invalid centre, or a standard deviation that is not positive.

    Example:
        >>> stds = [0.1 * (i + 11) for i in range(50)]   # CIFAR-10, official code
        >>> degrade = gaussian_mask(32, stds, center="random")
        >>> x = jnp.zeros((4, 32, 32, 3))
        >>> degrade.bind(jax.random.key(0), x.shape)(x, t=50).shape
        (4, 32, 32, 3)

    Reference:
        Bansal et al. (2022), section 4.2; `defading_diffusion_gaussian` in the official
        code (`Incremental`, `Constant`, `Random_Incremental`), which draws a new centre
        at every call in training. Its 8-bit rounding (`discrete`) is `quantize` here.
        On MNIST and CIFAR-10, its README trains with stds from 1.1 upwards and tests
        with stds from 0.1 upwards.
    """
    height, width = checks.check_image_size(image_size)
    stds = checks.check_stds(stds)
    if isinstance(center, str) and center == "random":
        masks = cumulative_masks((2 * height, 2 * width), (height - 1, width - 1), stds)
        table = jnp.asarray(masks, jnp.float32)
        return RandomMask(masks=table, windows=None, num_steps=len(stds))
    if isinstance(center, str) and center == "middle":
        center = middle((height, width))
    position = np.asarray(center)
    if (
        position.shape != (2,)
        or not np.issubdtype(position.dtype, np.number)
        or not ((position >= -1) & (position < (height, width))).all()
    ):
        raise ValueError(
            'center must be "middle", "random" or (row, column) between (-1, -1) and '
            f"({height - 1}, {width - 1}), got {center!r}"
        )
    masks = cumulative_masks((height, width), (position[0], position[1]), stds)
    return Mask(masks=jnp.asarray(masks, jnp.float32), num_steps=len(stds))


def _apply(masks: chex.Array, x: chex.Array, t: chex.Array) -> chex.Array:
    """Returns M x for masks [B, H, W, 1], computed in float32."""
    return base.keep_clean(x, masks * x.astype(jnp.float32), t)


def middle(image_size: tuple[int, int]) -> tuple[int, int]:
    """Returns the middle pixel (row, column) as defined by the official code."""
    return (image_size[0] + 1) // 2 - 1, (image_size[1] + 1) // 2 - 1


def cumulative_masks(
    size: tuple[int, int], center: tuple[float, float], stds: np.ndarray
) -> np.ndarray:
    """Returns M_0 = 1, M_1, ..., M_T as float64 [T + 1, H, W]."""
    rows = np.arange(size[0])[:, None] - center[0]
    columns = np.arange(size[1])[None, :] - center[1]
    distance = np.sqrt(rows**2 + columns**2)
    masks = [np.ones(size)]
    for std in stds:
        with np.errstate(over="ignore"):  # A tiny std masks only the centre.
            masks.append(masks[-1] * -np.expm1(-((distance / std) ** 2) / 2))
    return np.stack(masks)
