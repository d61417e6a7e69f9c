"""The ways to restore an image that an evaluation compares."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import chex

from colddiff_jax import sampling
from colddiff_jax.degradations import Blend
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.errors import InputError
from colddiff_jax.sampling.walk import RestoreFn

SAMPLERS: dict[str, Callable[..., sampling.SampleResult]] = {
    # One step of Algorithm 1, to 0, is the prediction itself.
    "direct": sampling.sample_alg1,
    "alg1": sampling.sample_alg1,
    "alg2": sampling.sample_alg2,
    "heun": sampling.sample_heun,
    "ab2": sampling.sample_ab2,
}
"""The samplers that draw nothing, by the name that a user types."""

DEFAULT = ("direct", "alg1", "alg2")
"""What the paper's tables compare, beside the degraded images."""


class Method(NamedTuple):
    """A sampler and the steps it makes.

    Attributes:
        name: as typed, such as "alg2" or "alg2:5".
        sampler: its name in `SAMPLERS`.
        num_steps: how many steps.
    """

    name: str
    sampler: str
    num_steps: int


def parse_methods(names: Sequence[str], num_steps: int) -> tuple[Method, ...]:
    """The methods that a user names.

    Args:
        names: such as "alg2", which makes every step, or "alg2:5", which makes five, at
            equal distances.
        num_steps: T, of the degradation.

    Raises:
        InputError: an unknown sampler, or a number of steps outside 1..T.
    """
    methods = []
    for text in dict.fromkeys(name.strip() for name in names):
        sampler, colon, steps = text.partition(":")
        if sampler not in SAMPLERS:
            raise InputError(
                f"samplers must be among {', '.join(SAMPLERS)}, got {sampler!r}"
            )
        wanted = int(steps) if steps.isdecimal() else num_steps + bool(colon)
        if sampler == "direct":
            if colon:
                raise InputError(f"direct is one prediction, without steps: {text!r}")
            wanted = 1
        if not 1 <= wanted <= num_steps:
            raise InputError(
                f"the steps of a sampler must lie in 1..{num_steps}, those of the "
                f"degradation, such as {sampler}:{min(5, num_steps)}; got {text!r}"
            )
        methods.append(Method(text, sampler, wanted))
    return tuple(methods)


def check_endpoint(endpoint: str, degrade: Degradation) -> None:
    """Raises InputError for an estimated endpoint of a degradation that has none."""
    if endpoint == "estimated" and not isinstance(degrade, Blend):
        raise InputError(
            "--endpoint=estimated needs a run that was trained with animorph, "
            "fade_to_color or gaussian_noise; this one's degradation is a "
            f"{type(degrade).__name__}"
        )


def restore(
    methods: Sequence[Method],
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
) -> dict[str, chex.Array]:
    """Restores x_T by each of the methods.

    Args:
        methods: from `parse_methods`.
        restore_fn: R.
        degrade: D, bound.
        x_T: fully degraded images, float [B, H, W, C].
        endpoint: of a blend, as in `sampling.WalkOptions`.
        last_step: likewise.

    Returns:
        x_0 by the methods' names.
    """
    restored = {}
    for method in methods:
        if method.sampler == "direct":
            continue
        steps = sampling.equal_stride(degrade.num_steps, num_calls=method.num_steps)
        sampler = SAMPLERS[method.sampler]
        result = sampler(
            restore_fn,
            degrade,
            x_T,
            timesteps=steps,
            endpoint=endpoint,
            last_step=last_step,
        )
        restored[method.name] = result.x_0
    for method in methods:
        if method.sampler == "direct":
            # Every sampler begins with it.
            restored[method.name] = (
                result.direct
                if restored
                else sampling.restore_direct(restore_fn, degrade, x_T).x_0
            )
    return {method.name: restored[method.name] for method in methods}
