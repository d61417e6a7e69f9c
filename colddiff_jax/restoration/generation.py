"""Images from nothing: a draw of x_T from a prior, and a sampler."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import devices
from colddiff_jax.checks import InputError, check_integer, is_finite_number
from colddiff_jax.degradations import Blend, BlurAndNoise, Noisy
from colddiff_jax.degradations.base import (
    Degradation,
    endpoint_kind,
    takes_images,
)
from colddiff_jax.experiment.model import Model
from colddiff_jax.experiment.pairs import seen_image
from colddiff_jax.prng import indexed_keys
from colddiff_jax.restoration.restore_options import check_eta, check_sampling
from colddiff_jax.restoration.samplers import (
    WITHOUT_ENDPOINT,
    check_endpoint,
    default_samplers,
)
from colddiff_jax.sampling import (
    SAMPLERS,
    BatchSampler,
    PerturbedPrior,
    Prior,
    RestoreFn,
    SampleResult,
    equal_stride,
    guide,
    interpolated,
)
from colddiff_jax.sampling.consistency import trained_consistent
from colddiff_jax.sampling.seeing import SeesImage

Endpoint = Literal["fixed", "estimated"]


class _Options(NamedTuple):
    """How images are generated from x_T.

    Attributes:
        sampler: as in `generate_images`; so are the others, unless they are here.
        timesteps: the steps to visit, from T to 0.
        endpoint: None for the sampler's own.
        eta: None for the sampler's default.
        redraw: whether eta is a fraction of all noise.
        guidance: the scale.
        return_trajectory: whether all x_t are returned.
    """

    sampler: str
    timesteps: tuple[int, ...]
    endpoint: Endpoint | None
    eta: float | None = None
    redraw: bool = False
    guidance: float = 1.0
    return_trajectory: bool = False


def generate_images(*given: Any, **options: Any) -> SampleResult:
    """Generates images, with the arguments of `prepare_generation`."""
    return prepare_generation(*given, **options)()


def prepare_generation(
    model: Model,
    params: Any,
    prior: Prior | None,
    key: chex.PRNGKey,
    n: int,
    *,
    sampler: str | None = None,
    steps: int | None = None,
    endpoint: Endpoint | None = None,
    eta: float | None = None,
    redraw: bool = False,
    labels: int | Sequence[int] | None = None,
    guidance: float = 1.0,
    interpolate: bool = False,
    batch_size: int = 64,
    return_trajectory: bool = False,
) -> Callable[..., SampleResult]:
    """Prepares to generate images: x_T from a prior, x_0 by a sampler.

    Args:
        model: the model.
        params: the parameters of its network.
        prior: of x_T, without the noise of `noisy`.
        key: of all draws; image i depends on it and on i alone.
        n: the number of images.
        sampler: its name in `sampling.SAMPLERS`; None for "alg2", or "ihd" if R
            predicts the step before.
        steps: the number of steps from T to 0, of equal stride; None for all.
        endpoint: of a blend; None for "estimated" with noise, otherwise "fixed".
        eta: with ddim, the fraction of fresh noise, in [0, 1]; None for 0.
        redraw: with ddim, whether that is a fraction of all noise; see `sample_ddim`.
        labels: for a conditional model, the class of all images or of each; None for
            images of no class.
        guidance: the scale of classifier-free guidance by the labels.
        interpolate: let x_T change from one draw to another, with the same noise.
        batch_size: images generated at once, over all devices; rounded up to a multiple
            of their number.
        return_trajectory: whether to return all x_t, [n, steps, H, W, C].

    Returns:
        A function that generates the images on all local devices, and returns them,
        float32 [n, H, W, C], about [-1, 1], with what the sampler returns besides.
        With `progress`, a label, it shows a bar on a terminal.

    Raises:
        InputError: no prior or one of another shape, or options that do not fit the
            model.
    """
    n = check_integer("n", n)
    T = model.degrade.num_steps
    sampler = sampler or default_samplers(model.target)[-1]
    check_sampling(model, T, sampler, steps)
    if endpoint is not None:
        check_endpoint(endpoint, model.degrade, sampler=sampler)
    elif sampler not in WITHOUT_ENDPOINT:
        kind = endpoint_kind(model.degrade)
        endpoint = "estimated" if kind == "noise" else "fixed"
    check_eta(eta, sampler)
    if redraw and not eta:
        raise InputError("`redraw` needs the sampler ddim and an `eta` above 0")
    _check_guidance(guidance, labels)
    prior = _with_noise(model, prior)
    calls = 1 if sampler == "direct" else steps or T
    options = _Options(
        sampler,
        tuple(equal_stride(T, num_calls=calls).tolist()),
        endpoint,
        eta,
        redraw,
        guidance,
        return_trajectory,
    )
    program = _program(
        options,
        model.consistent_noise[:1],
        model.sees_endpoint,
        model.num_classes,
        devices.divisible(min(batch_size, n)),
    )
    indices, x_T = np.arange(n), None
    if interpolate:
        x_T = np.asarray(interpolated(prior, key=jax.random.fold_in(key, 0), n=n))
        indices = np.zeros(n, int)
    batch = (indices, _check_labels(model, labels, n), x_T)
    shared = (model.network_fn(params), model.degrade, prior, key)
    return functools.partial(program, shared, batch)


def _with_noise(model: Model, prior: Prior | None) -> Prior:
    """Returns the prior of x_T of a model, with the noise of `noisy`.

    If that is around a blend with images, it is the prior of these.
    """
    if prior is None and model.paired:
        raise InputError(
            "this model was trained on pairs, to restore degraded images; give it some "
            "to restore, or a `prior` that draws them"
        )
    if prior is None:
        raise InputError(
            "this model does not say where images begin; train it with `prior.block` "
            "set, or give a `prior`, such as "
            "sampling.fit_prior(images, restorer.degradation)"
        )
    if prior.image_shape != model.image_shape:
        raise InputError(
            f"`prior` must draw images of shape {model.image_shape}, got "
            f"{prior.image_shape}"
        )
    if isinstance(model.degrade, Noisy) and not takes_images(model.degrade):
        return PerturbedPrior(prior, model.degrade.stds[-1])
    return prior


def _check_guidance(guidance: float, labels: Any) -> None:
    if not (is_finite_number(guidance) and guidance >= 0):
        raise InputError(
            f"`guidance` must be a finite number of at least 0, got {guidance!r}"
        )
    if guidance != 1 and labels is None:
        raise InputError("`guidance` needs `labels`, the classes to guide to")


def _check_labels(
    model: Model, labels: int | Sequence[int] | None, n: int
) -> np.ndarray | None:
    """Returns one label per image, int32 [n], or None."""
    if labels is None:
        return None
    classes = model.num_classes
    if not classes:
        raise InputError(
            "`labels` need a conditional model; the `model.num_classes` of this one is "
            "0"
        )
    values = np.asarray(labels)
    fits = values.shape in ((), (n,)) and np.issubdtype(values.dtype, np.integer)
    if not fits or values.min() < 0 or values.max() >= classes:
        raise InputError(
            f"`labels` must be one class in 0..{classes - 1}, or {n} of them, got "
            f"{labels!r}"
        )
    return np.broadcast_to(values, (n,)).astype(np.int32)


@functools.lru_cache(maxsize=8)  # A second call compiles nothing.
def _program(
    options: _Options,
    consistent_noise: tuple[float, ...],
    sees_endpoint: bool,
    num_classes: int,
    batch_size: int,
) -> BatchSampler:
    """Returns the program that generates images, given (network, D, prior, key)."""

    def generate(shared: tuple, batch: tuple) -> SampleResult:
        network, degrade, prior, key = shared
        indices, labels, x_T = batch
        prior_keys, bind_keys, sampler_keys = (
            indexed_keys(jax.random.fold_in(key, i), indices) for i in range(3)
        )
        if x_T is None:
            x_T = prior.draw(prior_keys)
        bound = degrade.bind(bind_keys, x_T.shape)
        if isinstance(bound, Blend | BlurAndNoise):
            color = bound.endpoint_kind == "color"
            bound = bound.with_endpoint(x_T[:, :1, :1] if color else x_T)
        elif isinstance(bound, Noisy) and takes_images(bound):
            bound = bound.with_images(x_T)
            x_T = bound(jnp.zeros_like(x_T), bound.num_steps)
        if labels is not None:
            network = guide(
                network, labels, scale=options.guidance, null_label=num_classes
            )
        if consistent_noise:
            network = trained_consistent(network, bound, *consistent_noise)
        if sees_endpoint:
            network = SeesImage(network, seen_image(bound))
        return _sample(options, network, bound, x_T, sampler_keys)

    return BatchSampler(generate, batch_size=batch_size)


def _sample(
    options: _Options,
    restore_fn: RestoreFn,
    degrade: Degradation,
    x_T: chex.Array,
    keys: chex.PRNGKey,
) -> SampleResult:
    given = {"endpoint": options.endpoint, "eta": options.eta}
    given["redraw"] = options.redraw or None  # Only sample_ddim knows it.
    sampler: Callable[..., SampleResult] = SAMPLERS[options.sampler]
    return sampler(
        restore_fn,
        degrade,
        x_T,
        key=keys,
        timesteps=np.array(options.timesteps),
        return_trajectory=options.return_trajectory,
        **{name: value for name, value in given.items() if value is not None},
    ).images_first()
