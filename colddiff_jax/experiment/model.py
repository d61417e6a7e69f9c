"""A model: the degradation and the network that a configuration describes."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax.checks import InputError
from colddiff_jax.data import Preprocessing
from colddiff_jax.degradations.base import Degradation, has_inverse
from colddiff_jax.degradations.targets import Compare, Target
from colddiff_jax.experiment.builders import (
    make_degradation,
    make_network,
    make_preprocessing,
)
from colddiff_jax.experiment.own_network import check_predictions
from colddiff_jax.experiment.pairs import is_paired, seen_image, sees_endpoint
from colddiff_jax.experiment.sections import call_named, in_section, plain
from colddiff_jax.losses import DISTANCES, Distance
from colddiff_jax.models.preconditioning import Preconditioned, Scales
from colddiff_jax.models.seeing import Seeing, TwoImages
from colddiff_jax.reprs import ShortPartial, sides
from colddiff_jax.sampling import RestoreFn, guide
from colddiff_jax.sampling.consistency import trained_consistent, with_factors
from colddiff_jax.sampling.seeing import SeesImage


@dataclasses.dataclass(frozen=True)
class Model:
    """A degradation and the network that undoes it, without data or weights.

    Attributes:
        config: the configuration, nested dictionaries.
        degrade: D, unbound.
        network: R, a Flax module.
        scales: the scales of a preconditioned network, or None.
        image_shape: (H, W, C) of the network's images.
    """

    config: dict[str, Any]
    degrade: Degradation
    network: nn.Module
    scales: Scales | None
    image_shape: tuple[int, int, int]

    def __repr__(self) -> str:
        network = self.config["model"]["name"]
        return f"Model({self.degrade!r}, {network}, {sides(self.image_shape)})"

    @property
    def num_classes(self) -> int:
        """The number of classes of a conditional network; 0 if unconditional."""
        return getattr(self.network, "num_classes", 0)

    @functools.cached_property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of images to the size that the network takes."""
        return make_preprocessing(self.config["data"])

    @functools.cached_property
    def distance(self) -> Distance:
        """The distance of the training loss."""
        return call_named("loss", DISTANCES, self.config["loss"])

    def init(self, key: chex.PRNGKey) -> Any:
        """Draws the initial parameters of the network."""
        height, width, channels = self.image_shape
        channels *= 1 + self.sees_endpoint
        x, t = jnp.zeros((1, height, width, channels)), jnp.ones((1,), jnp.int32)
        return self.network.init(key, x, t)["params"]

    @functools.cached_property
    def abstract_params(self) -> Any:
        """The shapes and dtypes of the parameters.

        Raises:
            InputError: a network that does not fit the images, or an implementation of
                attention that this hardware does not support.
        """
        try:
            return jax.eval_shape(self.init, jax.random.key(0))
        except (ValueError, RuntimeError) as error:
            fields = self.config["model"]
            raise InputError(in_section("model", str(error), fields)) from error

    @property
    def target(self) -> Target:
        """What the network predicts, the clean image or that of the step before."""
        return self.config.get("objective", {}).get("target", "clean")

    @property
    def paired(self) -> bool:
        """Whether it was trained on pairs, and x_T is the endpoint of a blend."""
        return is_paired(self.config)

    @property
    def sees_endpoint(self) -> bool:
        """Whether the network takes [x_t, y], where y is what x_t is blended with."""
        return sees_endpoint(self.config["model"], self.degrade)

    @property
    def compare(self) -> Compare:
        """What the training loss compares, predictions or degraded predictions."""
        return self.config.get("objective", {}).get("compare", "predictions")

    @property
    def consistent_noise(self) -> tuple[float, ...]:
        """The least and the largest noise of x_t that consistent predictions know.

        In image units; empty if predictions are not consistent.
        """
        return consistent_noise_of(self.config["model"])

    def restore_fn(
        self,
        params: Any,
        *,
        labels: chex.Array | None = None,
        guidance: float = 1.0,
        degrade: Degradation | None = None,
    ) -> RestoreFn:
        """Returns R(x_t, t) with these parameters, for any sampler.

        Args:
            params: the parameters of the network.
            labels: classes to condition on, int32 [B], or None.
            guidance: the scale of classifier-free guidance; needs labels.
            degrade: D, bound to the images; the model's by default. Only used if
                predictions are consistent, for the least noise that they know, and if
                the network sees its endpoint.
        """
        network = self.network_fn(params, labels=labels, guidance=guidance)
        return self.made_consistent(network, degrade or self.degrade)

    def network_fn(
        self,
        params: Any,
        *,
        labels: chex.Array | None = None,
        guidance: float = 1.0,
    ) -> RestoreFn:
        """Returns the network of R, as `restore_fn` returns R; it may take [x_t, y]."""
        network = ShortPartial(self.network.apply, {"params": params})
        if labels is None:
            return network
        return guide(network, labels, scale=guidance, null_label=self.num_classes)

    def made_consistent(
        self,
        network: RestoreFn,
        degrade: Degradation,
        noise: chex.Numeric | None = None,
    ) -> RestoreFn:
        """Returns R, given its network and D, bound to the images.

        Args:
            network: from `network_fn`.
            degrade: D.
            noise: the noise of the images, [] or [B]; the least that the model knows by
                default, and clipped to the range that it knows.
        """
        if self.sees_endpoint:
            return SeesImage(network, seen_image(degrade))
        if not self.consistent_noise:
            return network
        low, high = self.consistent_noise
        noise = low if noise is None else jnp.clip(jnp.asarray(noise), low, high)
        return trained_consistent(network, degrade, noise)


def build_model(
    config: Mapping[str, Any],
    *,
    channels: int,
    scales: Scales | None = None,
    degrade: Degradation | None = None,
    network: nn.Module | None = None,
) -> Model:
    """Builds the model that a configuration describes, without any data.

    Args:
        config: nested fields as in `configs/`.
        channels: the number of channels of the images.
        scales: the scales of a preconditioned network, measured on training images.
        degrade: the degradation of the configuration, if it is already built.
        network: a network of one's own, in place of that of the configuration.

    Raises:
        InputError: an unknown or missing field, an unknown name, a value that does not
            fit, or scales that are missing or belong to another degradation.

    Example:
        >>> model = build_model(get_config("digits_blur"), channels=1)
        >>> model.image_shape
        (16, 16, 1)
    """
    config, is_own = plain(config), network is not None
    size = make_preprocessing(config["data"]).image_size
    if degrade is None:
        degrade = make_degradation(config["degradation"], size)
    degrade = with_inverse(degrade, config["model"])
    if network is None:
        network = make_network(config["model"])
    sees = sees_endpoint(config["model"], degrade)
    if sees:
        if is_own:
            check_predictions(network, (size, size, 2 * channels))
        network, is_own = TwoImages(network), False
    if config["model"].get("precondition", False):
        if scales is None:
            raise InputError(
                "a preconditioned network needs the scales it is trained with"
            )
        if len(scales.skip) != degrade.num_steps:
            raise InputError(
                f"the network is preconditioned for {len(scales.skip)} steps and the "
                f"degradation has {degrade.num_steps}; start a new run folder"
            )
        network = Preconditioned(network, scales)
    else:
        scales = None
    network = Seeing(network) if sees else network
    model = Model(dict(config), degrade, network, scales, (size, size, channels))
    if is_own:
        check_predictions(model.network, model.image_shape)
    _ = model.abstract_params  # Raises before any work if the network does not fit.
    return model


def with_inverse(degrade: Degradation, fields: Mapping[str, Any]) -> Degradation:
    """Returns D with what consistent predictions need, if the model makes them.

    Args:
        degrade: D.
        fields: the section model.

    Raises:
        InputError: a degradation without an inverse.
    """
    if not consistent_noise_of(fields):
        return degrade
    if not has_inverse(degrade):
        raise InputError(
            "`model.consistent_noise` needs a degradation with a known inverse (blur, "
            "pixelation, masks, fading, desaturation), got a "
            f"{type(degrade).__name__}; leave it empty"
        )
    return with_factors(degrade)


def consistent_noise_of(fields: Mapping[str, Any]) -> tuple[float, ...]:
    """Returns the range `consistent_noise` of the section model, which may be empty.

    Raises:
        InputError: a range of other than two positive numbers, the smaller one first.
    """
    bounds = tuple(fields.get("consistent_noise", ()))
    if not bounds:
        return ()
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] < float("inf"):
        raise InputError(
            "`model.consistent_noise` must be two positive numbers, the least and the "
            f"largest noise, or empty; got {bounds}"
        )
    return bounds
