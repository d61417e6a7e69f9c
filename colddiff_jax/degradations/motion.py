"""Motion blur: every pixel is smeared along a line, in one direction per image."""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Literal, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base
from colddiff_jax.degradations.separable import precise_einsum


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class MotionBlur:
    """Blur along a line of increasing length, D(x, t) = k_{t, angle} * x per channel.

    Made by `motion_blur`.

    Attributes:
        lengths: float32 [T + 1], in pixels; the first is 0.
        points: float32 [P], sample positions along a line from -1/2 to 1/2.
        angles: radians from the horizontal, float32 [B] or [1]; None before `bind`.
        random: whether `bind` draws the angles.
        image_size: (H, W).
        margin: width in pixels of the mirrored border; 0 for circular padding.
        num_steps: T.

    Example:
        >>> degrade = motion_blur(32, [2, 4, 8])
        >>> degrade.bind(jax.random.key(0), (4, 32, 32, 3)).angles.shape
        (4,)
    """

    lengths: chex.Array
    points: chex.Array
    angles: chex.Array | None
    random: bool = dataclasses.field(metadata={"static": True})
    image_size: tuple[int, int] = dataclasses.field(metadata={"static": True})
    margin: int = dataclasses.field(metadata={"static": True})
    num_steps: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return base.describe("motion_blur", self.num_steps, self.image_size)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one angle per example, U[0, pi), unless the angle was given."""
        if not self.random:
            return self
        keys = prng.keys_per_example(key, shape[0])
        angles = jax.vmap(lambda key: jax.random.uniform(key, maxval=jnp.pi))(keys)
        return dataclasses.replace(self, angles=angles)

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: `bind` was not called, or was called for another batch size.
        """
        x, t = base.check_call(x, t, self.num_steps, self.image_size)
        angles = base.check_bound(self.angles, x, "a random angle")
        batch_size, height, width, _ = x.shape
        padding = (
            (0, 0),
            (self.margin, self.margin),
            (self.margin, self.margin),
            (0, 0),
        )
        image = jnp.pad(x.astype(jnp.float32), padding, mode="reflect")
        size = (height + 2 * self.margin, width + 2 * self.margin)
        angles = jnp.broadcast_to(angles, (batch_size,))
        lengths = jnp.broadcast_to(self.lengths[t], (batch_size,))
        kernels = jax.vmap(self._kernel, (0, 0, None))(lengths, angles, size)
        spectrum = jnp.fft.rfft2(kernels)[..., None] * jnp.fft.rfft2(image, axes=(1, 2))
        x_t = jnp.fft.irfft2(spectrum, s=size, axes=(1, 2))
        rows = slice(self.margin, self.margin + height)
        x_t = x_t[:, rows, self.margin : self.margin + width]
        return base.keep_clean(x, x_t, t)

    def _kernel(
        self, length: chex.Array, angle: chex.Array, size: tuple[int, int]
    ) -> chex.Array:
        """Returns the line as a periodic image of `size`, centred at (0, 0)."""
        rows, columns = (
            _hat(length * along * self.points, side)
            for along, side in zip((jnp.sin(angle), jnp.cos(angle)), size, strict=True)
        )
        return precise_einsum("pi,pj->ij", rows, columns) / len(self.points)


def motion_blur(
    image_size: int | Sequence[int],
    lengths: Sequence[float] | np.ndarray,
    *,
    angle: float | Literal["random"] = "random",
    padding: Literal["circular", "reflect"] = "circular",
) -> MotionBlur:
    """Makes the blur of a camera moving along a line.

        D(x, t)(u) = mean over s in [-1/2, 1/2] of x(u + s lengths_t (sin, cos)(angle))

    The mean is taken over points at most half a pixel apart, with bilinear
    interpolation. The result is a kernel of non-negative weights that sum to one,
    applied by FFT.

    Args:
        image_size: side of the images in pixels, or (height, width).
        lengths: lengths of the line in pixels, whatever the image's size, one per
            step, from 0 to the shorter side, non-decreasing.
        angle: degrees from the horizontal, clockwise as displayed, or "random", drawn
            per example by `bind`.
        padding: "circular", or "reflect" (mirrored without repeating the edge pixel).

    Returns:
        A deterministic degradation with T = len(lengths) or, with a random angle, one
        that must be bound before it is called.

    Raises:
        ValueError: a length out of range, lengths that decrease, or an invalid angle
            or padding.

    Example:
        >>> degrade = motion_blur(64, schedules.linear(20, start=1, increment=1))
        >>> degrade = degrade.bind(jax.random.key(0), x.shape)

    Reference:
        Not in the paper. One of the common corruptions of Hendrycks and Dietterich
        (2019), arXiv:1903.12261.
    """
    height, width = checks.check_image_size(image_size)
    shorter = min(height, width)
    if shorter < 2:
        raise ValueError(f"images must have at least 2 x 2 pixels, got {image_size!r}")
    values = checks.check_schedule(
        "lengths",
        lengths,
        f"in 0..{shorter}, the shorter side,",
        lambda v: (v >= 0) & (v <= shorter),
        order="rising",
    )
    checks.check_choice("padding", padding, ["circular", "reflect"])
    random = isinstance(angle, str) and angle == "random"
    if not random and not (isinstance(angle, numbers.Real) and np.isfinite(angle)):
        raise ValueError(
            f'angle must be "random" or a finite number of degrees, got {angle!r}'
        )
    # Shapes depend only on the image size: new lengths or angles do not recompile.
    num_points = 2 * shorter + 1
    points = (np.arange(num_points) + 0.5) / num_points - 0.5
    angles = None if random else jnp.asarray([np.deg2rad(angle)], jnp.float32)
    return MotionBlur(
        lengths=jnp.asarray(np.concatenate([[0.0], values]), jnp.float32),
        points=jnp.asarray(points, jnp.float32),
        angles=angles,
        random=random,
        image_size=(height, width),
        # No point is further away than half the longest line.
        margin=(shorter + 1) // 2 if padding == "reflect" else 0,
        num_steps=len(values),
    )


def _hat(positions: chex.Array, side: int) -> chex.Array:
    """Returns bilinear weights [P, side] of positions [P] on a periodic axis."""
    offset = positions[:, None] - jnp.arange(side, dtype=jnp.float32)[None, :]
    distance = jnp.abs((offset + side / 2) % side - side / 2)
    return jnp.maximum(1.0 - distance, 0.0)
