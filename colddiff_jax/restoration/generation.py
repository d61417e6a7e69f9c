"""Images from nothing: a draw of x_T from a prior, and a sampler."""

from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.degradations import Blend, Noisy
from colddiff_jax.degradations.base import Degradation, endpoint_kind
from colddiff_jax.experiment.model import Model
from colddiff_jax.prng import indexed_keys
from colddiff_jax.restoration.restore_options import check_sampling
from colddiff_jax.restoration.samplers import default_samplers, sample_from
from colddiff_jax.sampling import (
    ColorPrior,
    NormalPrior,
    PerturbedPrior,
    Prior,
    equal_stride,
)

Endpoint = Literal["fixed", "estimated"]
_BATCH_SIZE = 64


def prior_for(model: Model, prior: Prior | None) -> Prior:
    """Returns the prior of x_T of a model.

    Args:
        model: the model. Noise and a random colour are their own priors.
        prior: the prior of x_T, without the noise of `noisy`; None where D has its own.

    Raises:
        InputError: no prior where one is needed, or images of another shape.
    """
    degrade = model.degrade
    if prior is None:
        prior = _own_prior(degrade, model.image_shape)
    if prior.image_shape != model.image_shape:
        raise InputError(
            f"`prior` must draw images of shape {model.image_shape}, got "
            f"{prior.image_shape}"
        )
    if isinstance(degrade, Noisy):
        return PerturbedPrior(prior, degrade.stds[-1])
    return prior


def _own_prior(degrade: Degradation, image_shape: tuple[int, int, int]) -> Prior:
    if isinstance(degrade, Blend) and degrade.endpoint_kind == "noise":
        return NormalPrior(image_shape)
    if isinstance(degrade, Blend) and degrade.endpoint_kind == "color":
        assert degrade.draw_endpoint is not None
        (color_range,) = degrade.draw_endpoint.args
        return ColorPrior(color_range, image_shape)
    raise InputError(
        "this model does not say where images begin; give a `prior`, such as "
        "sampling.fit_prior(images, restorer.degradation)"
    )


def generate_images(
    model: Model,
    params: Any,
    key: chex.PRNGKey,
    n: int,
    *,
    prior: Prior | None,
    sampler: str | None,
    steps: int | None,
    endpoint: Endpoint | None,
) -> np.ndarray:
    """Generates images.

    Args:
        model: the model.
        params: the parameters of its network.
        key: of all draws.
        n: the number of images.
        prior: as for `prior_for`.
        sampler: as in `Restorer.generate`, like the following.
        steps: the number of steps from T to 0; None for all.
        endpoint: None for "estimated" with noise, else "fixed".

    Returns:
        float32 [n, H, W, C]; image i depends on the key and on i.
    """
    T = model.degrade.num_steps
    sampler = sampler or default_samplers(model.target)[-1]
    check_sampling(model, T, sampler, steps)
    calls = 1 if sampler == "direct" else steps or T
    timesteps = tuple(equal_stride(T, num_calls=calls).tolist())
    prior, network = prior_for(model, prior), model.network_fn(params)
    kind = endpoint_kind(model.degrade)
    if endpoint is None:
        endpoint = "estimated" if kind == "noise" else "fixed"
    prior_key, bind_key, sampler_key = jax.random.split(key, 3)
    images = []
    for first in range(0, n, _BATCH_SIZE):
        # The last batch is filled up, so that all have one size.
        indices = jnp.arange(first, first + min(n, _BATCH_SIZE))
        x_T = prior.draw(indexed_keys(prior_key, indices))
        bound = model.degrade.bind(indexed_keys(bind_key, indices), x_T.shape)
        if isinstance(bound, Blend):
            bound = bound.with_endpoint(x_T[:, :1, :1] if kind == "color" else x_T)
        x_0 = sample_from(
            model.made_consistent(network, bound),
            bound,
            x_T,
            indexed_keys(sampler_key, indices),
            sampler,
            timesteps,
            endpoint,
        )
        images.append(np.asarray(x_0))
    return np.concatenate(images)[:n]
