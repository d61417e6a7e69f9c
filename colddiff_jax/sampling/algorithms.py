"""The two algorithms of the paper, and the prediction in one shot."""

from typing import Any, Unpack

import chex
import jax.numpy as jnp

from colddiff_jax.degradations.base import Degradation, check_images
from colddiff_jax.sampling.timesteps import check_timesteps
from colddiff_jax.sampling.walk import (
    Place,
    RestoreFn,
    SampleResult,
    WalkOptions,
    predict,
    walk,
)


def sample_alg2(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    **options: Unpack[WalkOptions],
) -> SampleResult:
    """Restores x_T by Algorithm 2, which forgives an imperfect restorer.

        x0_hat = R(x_t, t)
        x_s    = x_t - D(x0_hat, t) + D(x0_hat, s)

    Where D(D(x, s), T) = D(x, T) for a linear D (nested binary masks, pixelation by
    area with halved sides, loss of all colour), D(x_0, T) = x_T for any restorer: what
    was observed is never altered.

    Args:
        restore_fn: R, called with x_t [B, H, W, C] and t int32 [B]; returns x0_hat of
            the same shape and dtype.
        degrade: D, bound if it is random; the same one that made x_T.
        x_T: degraded images, float [B, H, W, C], in [-1, 1].
        **options: `WalkOptions`: which steps to visit, how to end, what to keep.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: timesteps that rise, repeat, leave 0..T or do not end in 0, a start
            outside 1..T, an unknown endpoint or last step, or a restorer that changes
            the shape.
        TypeError: a restorer that changes the dtype, images that are not float, or an
            estimated endpoint of a degradation that has none.

    Example:
        >>> x_T = degrade(x, t=degrade.num_steps)
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T).x_0

    Reference:
        Bansal et al. (2022), Algorithm 2 and section 3.3. Ending in the prediction is
        the default of DYffusion, Cachay et al. (2023), arXiv:2306.01984.
    """

    def step(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        D, x_t, x0_hat, t, s, _ = place
        return x_t - D(x0_hat, t) + D(x0_hat, s), memory

    return walk(step, restore_fn, degrade, x_T, **options)


def sample_alg1(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    **options: Unpack[WalkOptions],
) -> SampleResult:
    """Restores x_T by Algorithm 1, which degrades every prediction afresh.

        x0_hat = R(x_t, t)
        x_s    = D(x0_hat, s)

    Args:
        restore_fn: R, as in `sample_alg2`.
        degrade: D.
        x_T: degraded images.
        **options: as in `sample_alg2`.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: as in `sample_alg2`.
        TypeError: as in `sample_alg2`.

    Example:
        >>> x_0 = sample_alg1(restore_fn, degrade, x_T, timesteps=[20, 10, 0]).x_0

    Reference:
        Bansal et al. (2022), Algorithm 1.
    """

    def step(place: Place, memory: Any) -> tuple[chex.Array, Any]:
        return place.degrade(place.x0_hat, place.s), memory

    return walk(step, restore_fn, degrade, x_T, **options)


def restore_direct(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    start: int | None = None,
) -> SampleResult:
    """Restores x_T in one shot, x_0 = R(x_T, T).

    Args:
        restore_fn: as in `sample_alg2`.
        degrade: D; only its number of steps T is used.
        x_T: degraded images, float [B, H, W, C], in [-1, 1].
        start: the step of x_T where it is below T.

    Returns:
        A `SampleResult` whose `x_0` and `direct` are that one prediction.

    Raises:
        ValueError: a start outside 1..T, or a restorer that changes the shape.
        TypeError: a restorer that changes the dtype, or images that are not float.

    Example:
        >>> x_0 = restore_direct(restore_fn, degrade, x_T).x_0

    Reference:
        Bansal et al. (2022), section 4 ("direct reconstruction").
    """
    first = check_timesteps(None, start, getattr(degrade, "num_steps", None))[0]
    x0_hat = predict(restore_fn, check_images(x_T), jnp.int32(first))
    return SampleResult(x_0=x0_hat, direct=x0_hat)
