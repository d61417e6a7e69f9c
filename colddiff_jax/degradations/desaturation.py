"""Desaturation and fading to grey."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks
from colddiff_jax.degradations import base


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Shrinkage:
    """Shrinkage towards grey, D(x, t) = k_t x + (1 - k_t) m(x).

    Made by `desaturate`, where m(x) is the mean over the channels, and by `fade`, where
    it is one level of grey.

    Attributes:
        keep: k, float32 [T + 1] in [0, 1], with k_0 = 1.
        to_channel_mean: whether m(x) is the mean over the channels rather than grey.
        num_steps: T.
        to: m, the level of grey, in [-1, 1].

    Example:
        >>> fade([0.5, 0.25]).keep
        Array([1.  , 0.5 , 0.25], dtype=float32)
    """

    keep: chex.Array
    to_channel_mean: bool = dataclasses.field(metadata={"static": True})
    num_steps: int = dataclasses.field(metadata={"static": True})
    to: float = dataclasses.field(default=0.0, metadata={"static": True})

    def __repr__(self) -> str:
        return base.describe(
            "desaturate" if self.to_channel_mean else "fade", self.num_steps
        )

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: there is nothing to draw."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        x, t = base.check_call(x, t, self.num_steps)
        keep = base.per_example(self.keep[t], x)
        image = x.astype(jnp.float32)
        x_t = keep * image
        if self.to_channel_mean:
            x_t += (1 - keep) * image.mean(axis=-1, keepdims=True)
        elif self.to:
            x_t += (1 - keep) * self.to
        return base.keep_clean(x, x_t, t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns m(y) + (y - m(y)) / k_t; see `Linear`."""
        y, t = base.check_call(y, t, self.num_steps)
        image = y.astype(jnp.float32)
        mean = image.mean(axis=-1, keepdims=True) if self.to_channel_mean else 0.0
        keep = base.per_example(self.keep[t], y)
        return mean / (1 + damping) + base.divide(image - mean, keep, cutoff, damping)


def desaturate(keep: Sequence[float] | np.ndarray) -> Shrinkage:
    """Makes a degradation that mixes every pixel with the mean of its channels.

        D(x, t) = k_t x + (1 - k_t) mean_c(x)

    The mean is unweighted. Grey and single-channel images are unchanged.

    Args:
        keep: k, the fraction of the colour that remains, in [0, 1], one value per step,
            non-increasing, such as `schedules.linear_decay` or
            `schedules.exponential_decay`; a last value of 0 removes all colour.

    Returns:
        A deterministic degradation with T = len(keep), for images of any size.

    Raises:
        ValueError: a value outside [0, 1], or values that increase.

    Example:
        >>> degrade = desaturate(schedules.linear_decay(20))   # published
        >>> grey = degrade(x, t=20)

    Reference:
        Bansal et al. (2022), appendix (colorization); `decolor-diffusion` in the
        official code, which mixes t times by 1 x 1 convolutions. Its `Linear` is
        linear_decay, where `decolor_total_remove` affects only rounding, and its
        `Constant` is exponential_decay. Its conversion of the data to Lab is omitted.
    """
    return _shrinkage(keep, to_channel_mean=True)


def fade(keep: Sequence[float] | np.ndarray, *, to: float = 0.0) -> Shrinkage:
    """Makes a degradation that fades the whole image to mid-grey, or to black.

        D(x, t) = k_t x + (1 - k_t) m

    Args:
        keep: k, the fraction of the image that remains, in [0, 1], one value per step,
            non-increasing.
        to: m, the level of grey, in [-1, 1]: 0 for mid-grey, -1 for black.

    Returns:
        A deterministic degradation with T = len(keep), for images of any size.

    Raises:
        ValueError: a value outside [0, 1], values that increase, or a level outside
            [-1, 1].

    Example:
        >>> degrade = fade(schedules.exponential_decay(50, factor=0.9))

    Reference:
        `defading_diffusion_naive` in the official code. Its `Constant` with factor f is
        exponential_decay(T, factor=1 - f). Its `Incremental`, the product of 1 - f i
        over the steps i, is np.cumprod(np.maximum(1 - f * np.arange(1, T + 1), 0)),
        except that its factors become negative for i > 1 / f, while here a faded image
        stays faded.
    """
    checks.check_number("to", to, "lie in -1..1", lambda value: -1 <= value <= 1)
    return _shrinkage(keep, to_channel_mean=False, to=float(to))


def _shrinkage(
    keep: Sequence[float] | np.ndarray, *, to_channel_mean: bool, to: float = 0.0
) -> Shrinkage:
    values = checks.check_schedule(
        "keep", keep, "in [0, 1]", lambda v: (v >= 0) & (v <= 1), order="falling"
    )
    return Shrinkage(
        keep=jnp.asarray(np.concatenate([[1.0], values]), jnp.float32),
        to_channel_mean=to_channel_mean,
        num_steps=len(values),
        to=to,
    )
