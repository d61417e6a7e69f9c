"""The two sampling algorithms of Cold Diffusion, each one `jax.lax.scan`.

Both walk from a degraded image x_T back to x_0 with the restorer R and degradation D:

    x0_hat  = R(x_t, t)
    Alg. 1:   x_s = D(x0_hat, s)
    Alg. 2:   x_s = x_t - D(x0_hat, t) + D(x0_hat, s)

for the steps t -> s of `timesteps`, by default T -> T - 1 -> ... -> 0. Nothing here is
jitted, so that the functions compose with `jit`, `pmap`, `vmap` and `grad`. The form
that compiles once, whatever the parameters, images or degradation of the same shapes:

    restore_fn = jax.tree_util.Partial(model.apply, {"params": ema_params})
    result = jax.jit(sample_alg2)(restore_fn, degrade, x_T)

Reference:
    Bansal et al. (2022), arXiv:2208.09392, section 3.2. The network meets t in 1..T;
    the official code passes t - 1 and calls Algorithm 1 `default`, Algorithm 2
    `x0_step_down`.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations.base import Degradation, check_images
from colddiff_jax.degradations.blend import Blend

RestoreFn = Callable[[chex.Array, chex.Array], chex.Array]
"""R: images [B, H, W, C] and steps int32 [B] to predictions x0_hat like the images."""


class SampleResult(NamedTuple):
    """What a sampler returns.

    Attributes:
        x_0: the restored images, float [B, H, W, C], about [-1, 1], not clipped.
        direct: the first prediction R(x_T, T), like x_0.
        trajectory: every x_t from x_T to x_0, [len(timesteps), B, H, W, C], or None.
    """

    x_0: chex.Array
    direct: chex.Array
    trajectory: chex.Array | None


def sample_alg2(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    timesteps: Sequence[int] | np.ndarray | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    return_trajectory: bool = False,
) -> SampleResult:
    """Restores x_T by Algorithm 2, which forgives an imperfect restorer.

        x0_hat = R(x_t, t)
        x_s    = x_t - D(x0_hat, t) + D(x0_hat, s)

    Args:
        restore_fn: R, called with x_t [B, H, W, C] and t int32 [B]; returns x0_hat of
            the same shape and dtype.
        degrade: D, bound if it is random; the same one that made x_T.
        x_T: degraded images, float [B, H, W, C], in [-1, 1].
        timesteps: strictly decreasing integers that end in 0; default T, T - 1, ..., 0.
            Fewer of them are coarser and cheaper: each but the last costs one network
            call.
        endpoint: of a blend, what it blends with: "fixed" holds the endpoint that
            `degrade` has, "estimated" solves for it at every step. Where the endpoint
            is an image or noise, that makes both algorithms deterministic DDIM.
        return_trajectory: also return every x_t.

    Returns:
        A `SampleResult` of float arrays like x_T.

    Raises:
        ValueError: timesteps that rise, repeat, leave 0..T or do not end in 0, an
            unknown endpoint, or a restorer that changes the shape.
        TypeError: a restorer that changes the dtype, images that are not float, or an
            estimated endpoint of a degradation that has none.

    Example:
        >>> x_T = degrade(x, t=degrade.num_steps)
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T).x_0

    Reference:
        Bansal et al. (2022), Algorithm 2 and section 3.3.
    """

    def step(
        degrade: Degradation,
        x_t: chex.Array,
        x0_hat: chex.Array,
        t: chex.Array,
        s: chex.Array,
    ) -> chex.Array:
        return x_t - degrade(x0_hat, t) + degrade(x0_hat, s)

    return _walk(step, restore_fn, degrade, x_T, timesteps, endpoint, return_trajectory)


def sample_alg1(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    timesteps: Sequence[int] | np.ndarray | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    return_trajectory: bool = False,
) -> SampleResult:
    """Restores x_T by Algorithm 1, which degrades every prediction afresh.

        x0_hat = R(x_t, t)
        x_s    = D(x0_hat, s)

    Args:
        restore_fn: as in `sample_alg2`.
        degrade: as in `sample_alg2`.
        x_T: as in `sample_alg2`.
        timesteps: as in `sample_alg2`.
        endpoint: as in `sample_alg2`.
        return_trajectory: as in `sample_alg2`.

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

    def step(
        degrade: Degradation,
        x_t: chex.Array,
        x0_hat: chex.Array,
        t: chex.Array,
        s: chex.Array,
    ) -> chex.Array:
        del x_t, t
        return degrade(x0_hat, s)

    return _walk(step, restore_fn, degrade, x_T, timesteps, endpoint, return_trajectory)


def restore_direct(
    restore_fn: RestoreFn, degrade: Degradation, x_T: chex.Array
) -> SampleResult:
    """Restores x_T in one shot, x_0 = R(x_T, T).

    Args:
        restore_fn: as in `sample_alg2`.
        degrade: D; only its number of steps T is used.
        x_T: degraded images, float [B, H, W, C], in [-1, 1].

    Returns:
        A `SampleResult` whose `x_0` and `direct` are that one prediction.

    Raises:
        ValueError: a restorer that changes the shape.
        TypeError: a restorer that changes the dtype, or images that are not float.

    Example:
        >>> x_0 = restore_direct(restore_fn, degrade, x_T).x_0

    Reference:
        Bansal et al. (2022), section 4 ("direct reconstruction").
    """
    x0_hat = _predict(restore_fn, check_images(x_T), jnp.int32(degrade.num_steps))
    return SampleResult(x_0=x0_hat, direct=x0_hat, trajectory=None)


def _walk(
    step: Callable[..., chex.Array],
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    timesteps: Sequence[int] | np.ndarray | None,
    endpoint: str,
    return_trajectory: bool,
) -> SampleResult:
    """Scans x_s = step(D, x_t, R(x_t, t), t, s) over consecutive pairs of timesteps."""
    x_T = check_images(x_T)
    blend = _check_endpoint(endpoint, degrade)
    timesteps = _check_timesteps(timesteps, degrade)

    def body(
        carry: tuple[chex.Array, chex.Array], t_and_s: tuple[chex.Array, chex.Array]
    ) -> tuple[tuple[chex.Array, chex.Array], chex.Array | None]:
        x_t, direct = carry
        t, s = t_and_s
        x0_hat = _predict(restore_fn, x_t, t)
        # The first prediction rides along; a call outside the scan would double the
        # program.
        direct = jnp.where(t == timesteps[0], x0_hat, direct)
        here = (
            blend.with_endpoint(blend.estimate_endpoint(x_t, x0_hat, t))
            if blend
            else degrade
        )
        x_s = step(here, x_t, x0_hat, t, s)
        return (x_s, direct), x_s if return_trajectory else None

    start = (x_T, jnp.zeros_like(x_T))
    pairs = (timesteps[:-1], timesteps[1:])
    (x_0, direct), visited = jax.lax.scan(body, start, pairs)
    trajectory = None if visited is None else jnp.concatenate([x_T[None], visited])
    return SampleResult(x_0=x_0, direct=direct, trajectory=trajectory)


def _predict(restore_fn: RestoreFn, x_t: chex.Array, t: chex.Array) -> chex.Array:
    """x0_hat = R(x_t, t) with t as [B], checked to be like x_t."""
    x0_hat = restore_fn(x_t, jnp.broadcast_to(t, x_t.shape[:1]))
    if x0_hat.shape != x_t.shape:
        raise ValueError(
            f"restore_fn must return images of the shape it is given, {x_t.shape}; it "
            f"returned {x0_hat.shape}"
        )
    if x0_hat.dtype != x_t.dtype:
        raise TypeError(
            f"restore_fn must return the dtype it is given, {x_t.dtype}; it returned "
            f"{x0_hat.dtype} (compute in any precision inside, cast the result)"
        )
    return x0_hat


def _check_endpoint(endpoint: str, degrade: Degradation) -> Blend | None:
    """Returns the blend whose endpoint is to be estimated at every step, if any."""
    if endpoint not in ("fixed", "estimated"):
        raise ValueError(f'endpoint must be "fixed" or "estimated", got {endpoint!r}')
    if endpoint == "fixed":
        return None
    if not isinstance(degrade, Blend):
        raise TypeError(
            f'endpoint="estimated" needs a blend with an endpoint (animorph, '
            f"gaussian_noise, fade_to_color), got {type(degrade).__name__}"
        )
    return degrade


def _check_timesteps(
    timesteps: Sequence[int] | np.ndarray | None, degrade: Degradation
) -> chex.Array:
    if timesteps is None:
        return jnp.arange(degrade.num_steps, -1, -1, dtype=jnp.int32)
    if not isinstance(timesteps, jax.core.Tracer):
        steps = np.asarray(timesteps)
        if (
            steps.ndim != 1
            or len(steps) < 2
            or not np.issubdtype(steps.dtype, np.integer)
            or (np.diff(steps) >= 0).any()
            or steps[-1] != 0
            or steps[0] > degrade.num_steps
        ):
            raise ValueError(
                "timesteps must be strictly decreasing integers from at most T = "
                f"{degrade.num_steps} down to 0, got {timesteps}"
            )
    return jnp.asarray(timesteps, jnp.int32)
