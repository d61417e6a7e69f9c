"""Samplers as a user names them: "alg2", or "alg2:5" for five steps."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import chex
import jax
import numpy as np

from colddiff_jax import prng
from colddiff_jax.checks import InputError
from colddiff_jax.degradations.base import Degradation, endpoint_kind, has_inverse
from colddiff_jax.degradations.targets import Target
from colddiff_jax.experiment.model import Model
from colddiff_jax.sampling import SAMPLERS, RestoreFn, SampleResult, consistent

DEFAULT_SAMPLERS = ("direct", "alg1", "alg2")
"""The samplers that the paper's tables compare."""
WITHOUT_ENDPOINT = ("direct", "ddim", "ihd")
"""Those that have no choice of the endpoint."""
_TITLES = {
    "alg1": "Algorithm 1",
    "alg2": "Algorithm 2",
    "heun": "Heun",
    "ab2": "Adams-Bashforth",
    "ddim": "DDIM",
    "ihd": "heat dissipation",
}
_OF_PREVIOUS = ("ihd",)
"""Those for a model that predicts the step before."""


def title(name: str) -> str:
    """Returns what a row is called in pictures and tables.

    Args:
        name: that of a sampler, as for `parse_samplers`, or of other images.

    Example:
        >>> title("alg2:5"), title("degraded")
        ('Algorithm 2, 5 steps', 'degraded')
    """
    method, _, steps = name.partition(":")
    sampler, plus, addition = method.partition("+")
    parts = [_TITLES.get(sampler, sampler)]
    parts += [addition] * bool(plus)
    parts += [f"{steps} step{'s' * (steps != '1')}"] * bool(steps)
    return ", ".join(parts)


def default_samplers(target: Target) -> tuple[str, ...]:
    """Returns the samplers that a model is scored with; the last samples by default.

    Args:
        target: what the model predicts.
    """
    return DEFAULT_SAMPLERS if target == "clean" else _OF_PREVIOUS


class SamplerSpec(NamedTuple):
    """A sampler and the number of its steps.

    Attributes:
        name: as given, such as "alg2" or "alg2+consistent:5".
        sampler: its name in `SAMPLERS`.
        num_steps: its number of steps, of equal stride.
        addition: "consistent" if its predictions are made so, "ancestral" for eta = 1.
    """

    name: str
    sampler: str
    num_steps: int
    addition: str

    @property
    def consistent(self) -> bool:
        """Whether its predictions are made `consistent`."""
        return self.addition == "consistent"


def parse_samplers(
    names: Sequence[str] | None, degrade: Degradation, *, target: Target = "clean"
) -> tuple[SamplerSpec, ...]:
    """Parses the names of samplers.

    Args:
        names: such as "alg2", which takes every step, or "alg2:5", which takes five
            steps of equal stride; with "+consistent" after the name of the sampler, its
            predictions are made `sampling.consistent`, and "ddim+ancestral" has eta =
            1. None for `default_samplers`.
        degrade: the degradation to undo.
        target: what the model predicts.

    Raises:
        InputError: an unknown sampler, one that the degradation or the target does not
            allow, or a number of steps outside 1..T.
    """
    T = degrade.num_steps
    specs = []
    names = default_samplers(target) if names is None else names
    for text in dict.fromkeys(name.strip() for name in names):
        method, colon, steps = text.partition(":")
        sampler, plus, addition = method.partition("+")
        additions = ["consistent", *["ancestral"] * (sampler == "ddim")]
        if plus and addition not in additions:
            raise InputError(
                f"`samplers` may have the addition +{' or +'.join(additions)}, got "
                f"{text!r}"
            )
        if sampler not in SAMPLERS:
            raise InputError(
                f"`samplers` must be among {', '.join(SAMPLERS)}, got {sampler!r}"
            )
        check_sampler(sampler, degrade, target=target)
        if addition == "consistent":
            check_clean(target)
            check_inverse(degrade)
        # A suffix that is not a number counts as out of range.
        num_steps = int(steps) if steps.isdecimal() else T + bool(colon)
        if sampler == "direct":
            if colon:
                raise InputError(
                    f"direct is a single prediction without steps, got {text!r}"
                )
            num_steps = 1
        if not 1 <= num_steps <= T:
            raise InputError(
                f"a sampler must take 1..{T} steps, as the degradation has {T}, such "
                f"as {sampler}:{min(5, T)}; got {text!r}"
            )
        check_num_steps(sampler, num_steps, T)
        specs.append(SamplerSpec(text, sampler, num_steps, addition))
    return tuple(specs)


def check_sampler(
    sampler: str, degrade: Degradation, *, target: Target = "clean"
) -> None:
    """Raises InputError for a sampler that a degradation or a target does not allow."""
    if target == "clean" and sampler in _OF_PREVIOUS:
        raise InputError(
            f"the sampler {sampler} needs a model that predicts the step before "
            "(objective.target previous), and this one predicts clean images"
        )
    if target == "previous" and sampler not in _OF_PREVIOUS:
        raise InputError(
            f"the sampler {sampler} needs predictions of clean images, and this model "
            "predicts the step before (objective.target previous); use ihd"
        )
    if sampler == "ddim" and endpoint_kind(degrade) != "noise":
        raise InputError(
            "the sampler ddim needs a model trained on gaussian_noise, or with "
            "`degradation.noise_stds`"
        )


def check_num_steps(sampler: str, num_steps: int | None, start: int) -> None:
    """Raises InputError for fewer steps than a sampler must take from its start."""
    if sampler in _OF_PREVIOUS and num_steps not in (None, start):
        raise InputError(
            f"the sampler {sampler} takes all {start} steps, since the model predicts "
            f"the step before; leave out their number, got {num_steps}"
        )


def check_clean(target: Target) -> None:
    """Raises InputError if predictions are not of clean images, to be consistent."""
    if target != "clean":
        raise InputError(
            "consistent predictions are of clean images, and this model predicts the "
            "step before (objective.target previous); leave out `consistent`"
        )


def check_consistent(model: Model) -> None:
    """Raises InputError unless predictions of a model can be made consistent."""
    if model.consistent_noise:
        raise InputError(
            "the predictions of this model are consistent; leave out `consistent`"
        )
    check_clean(model.target)
    check_inverse(model.degrade)


def check_inverse(degrade: Degradation) -> None:
    """Raises InputError for a degradation whose pseudo-inverse is not known."""
    if not has_inverse(degrade):
        raise InputError(
            "consistent predictions need a degradation with a known inverse (blur, "
            "pixelation, masks, fading, desaturation); this model's is a "
            f"{type(degrade).__name__}"
        )


def check_endpoint(endpoint: str, degrade: Degradation, *, sampler: str = "") -> None:
    """Raises InputError if a sampler or a degradation leaves no choice of endpoint."""
    if sampler in WITHOUT_ENDPOINT:
        raise InputError(
            f"`endpoint` has no effect with the sampler {sampler}; leave it out"
        )
    if endpoint == "estimated" and endpoint_kind(degrade) is None:
        raise InputError(
            "`endpoint` estimated needs a model trained on animorph, fade_to_color or "
            f"gaussian_noise; this one's degradation is a {type(degrade).__name__}"
        )


def run_samplers(
    specs: Sequence[SamplerSpec],
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    key: chex.PRNGKey | None = None,
    endpoint: Literal["fixed", "estimated"] = "fixed",
    last_step: Literal["full", "direct"] = "full",
) -> dict[str, chex.Array]:
    """Restores x_T with each of the samplers.

    Args:
        specs: from `parse_samplers`.
        restore_fn: R.
        degrade: D, bound.
        x_T: fully degraded images, float [B, H, W, C].
        key: one per example, [B], for samplers that draw noise.
        endpoint: "fixed" or "estimated", as in `sample_alg2`.
        last_step: as in `sample_alg2`.

    Returns:
        x_0 by `SamplerSpec.name`.
    """
    keys = [None] * len(specs) if key is None else prng.split_keys(key, len(specs))

    def run(spec: SamplerSpec) -> SampleResult:
        options: dict[str, Any] = {"timesteps": spec.num_steps}
        options["key"] = keys[specs.index(spec)]
        if spec.sampler != "ddim":  # It always estimates the endpoint.
            options["endpoint"] = endpoint
        if spec.addition == "ancestral":
            options["eta"] = 1.0
        sampler = SAMPLERS[spec.sampler]
        used = consistent(restore_fn, degrade) if spec.consistent else restore_fn
        return sampler(used, degrade, x_T, last_step=last_step, **options)

    results = {spec: run(spec) for spec in specs if spec.sampler != "direct"}
    restored = {spec.name: result.x_0 for spec, result in results.items()}
    for spec in specs:
        if spec.sampler == "direct":
            # Every sampler starts with the direct prediction.
            alike = [s for s in results if s.consistent == spec.consistent]
            found = results[alike[0]].direct if alike else run(spec).x_0
            restored[spec.name] = found
    return {spec.name: restored[spec.name] for spec in specs}


@functools.partial(jax.jit, static_argnames=("sampler", "timesteps", "endpoint", "eta"))
def sample_from(
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_t: chex.Array,
    keys: chex.PRNGKey,
    sampler: str,
    timesteps: tuple[int, ...],
    endpoint: Literal["fixed", "estimated"] | None = None,
    eta: float | None = None,
) -> chex.Array:
    """Restores x_t with a sampler, in one compiled program.

    Args:
        restore_fn: R, a pytree.
        degrade: D, bound.
        x_t: degraded images, float [B, H, W, C].
        keys: one per image, [B].
        sampler: its name in `SAMPLERS`.
        timesteps: the steps, from that of x_t to 0.
        endpoint: as in `sample_alg2`; None for the sampler's default.
        eta: as in `sample_ddim`; None for 0.

    Returns:
        x_0, like x_t.
    """
    options: dict[str, Any] = {"key": keys, "timesteps": np.array(timesteps)}
    given = {"endpoint": endpoint, "eta": eta}
    options |= {name: value for name, value in given.items() if value is not None}
    return SAMPLERS[sampler](restore_fn, degrade, x_t, **options).x_0


def with_consistent_predictions(
    sampler: Callable[..., SampleResult],
) -> Callable[..., SampleResult]:
    """Returns a sampler that makes all predictions consistent."""

    def sample(
        restore_fn: RestoreFn, degrade: Degradation, *args: Any, **options: Any
    ) -> SampleResult:
        return sampler(consistent(restore_fn, degrade), degrade, *args, **options)

    return sample
