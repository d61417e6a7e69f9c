"""The prior of a run: where the images that its model generates begin."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import prng
from colddiff_jax.checks import InputError, check_integer, check_number
from colddiff_jax.data import Images, Preprocessing, load_image
from colddiff_jax.degradations import Blend, BlurAndNoise, Noisy
from colddiff_jax.degradations.base import Degradation, endpoint_kind, takes_images
from colddiff_jax.experiment.data import RunData
from colddiff_jax.experiment.sections import call
from colddiff_jax.io import disk
from colddiff_jax.io.atomic import npz_bytes
from colddiff_jax.io.images import to_float, to_uint8
from colddiff_jax.io.npz import open_npz
from colddiff_jax.sampling import (
    ColorPrior,
    EmpiricalPrior,
    MixturePrior,
    NormalPrior,
    PerturbedPrior,
    Prior,
    fit_prior,
)

_FILE = "prior.npz"  # In a run folder.
_NUM_FITTED = 8192  # Training images that a mixture is fitted to.
_KEPT_BYTES = 4 * 2**20  # Of endpoint images.


@dataclasses.dataclass(frozen=True, kw_only=True)
class PriorOptions:
    """The prior of x_T, from which images are generated.

    Noise, random colours and the images of the section endpoints are priors by
    themselves; for other degradations, one is fitted to the training images.

    Attributes:
        block: the k of `sampling.fit_prior`, for a mixture over k x k block means; 0
            for none.
        components: the number of components of the mixture.
        images: the number of degraded training images to keep as the prior, instead of
            a mixture, rounded to 8 bits; 0 for none.
        noise_std: the standard deviation of the noise added to draws, in image units;
            it breaks the symmetry of flat images. The paper's is 0.002.
    """

    block: int = 0
    components: int = 1
    images: int = 0
    noise_std: float = 0.0

    def __post_init__(self) -> None:
        check_integer("block", self.block, least=0)
        check_integer("components", self.components)
        check_integer("images", self.images, least=0)
        check_number(
            "noise_std", self.noise_std, "not be negative", lambda value: value >= 0
        )


def check_prior(config: Mapping[str, Any], degrade: Degradation) -> PriorOptions:
    """Returns the options of the section prior, which must fit the other sections.

    Raises:
        InputError: blocks that do not divide the images, or a fitted prior where the
            degradation has its own.
    """
    options = call("prior", PriorOptions, config.get("prior", {}))
    size = config["data"]["image_size"]
    if options.block and size % options.block:
        raise InputError(
            f"`prior.block` must divide `data.image_size` = {size}, got {options.block}"
        )
    if isinstance(degrade, Blend | BlurAndNoise) or takes_images(degrade):
        for name in ("block", "images", "noise_std"):
            if getattr(options, name):
                raise InputError(
                    f"`prior.{name}` must be 0, since {config['degradation']['name']} "
                    f"has its own prior; got {getattr(options, name)}"
                )
    if options.block and options.images:
        raise InputError(
            "`prior.block` and `prior.images` are two priors; set one of them to 0"
        )
    return options


def measure_prior(
    options: PriorOptions,
    degrade: Degradation,
    data: RunData,
    preprocessing: Preprocessing,
    seed: int,
) -> dict[str, np.ndarray]:
    """Returns the arrays of the prior of a run; none if it needs no images.

    Args:
        options: from `check_prior`.
        degrade: D, unbound.
        data: the images of the run.
        preprocessing: how they are resized and cropped.
        seed: the run's.
    """
    if data.paired:  # Restores; nothing is to be kept of the degraded images.
        return {}
    if takes_images(degrade):
        assert data.endpoints is not None
        images = data.endpoints.train
        size = load_image(images, 0, preprocessing.test).nbytes
        return {"images": _spread(images, _KEPT_BYTES // size, preprocessing)}
    if isinstance(degrade, Noisy):  # Its noise is drawn anew for every image.
        degrade = degrade.degradation
    key = prng.stream(seed, "prior")
    if options.images:
        x_0 = to_float(_spread(data.splits.train, options.images, preprocessing))
        bound = degrade.bind(prng.indexed_keys(key, jnp.arange(len(x_0))), x_0.shape)
        return {"images": to_uint8(jax.jit(_fully_degraded)(bound, x_0))}
    if not options.block:
        return {}
    mixture = fit_prior(
        to_float(_spread(data.splits.train, _NUM_FITTED, preprocessing)),
        degrade,
        block=options.block,
        components=options.components,
        key=key,
        seed=seed,
    )
    fields = ("log_weights", "means", "factors")
    return {name: np.asarray(getattr(mixture, name)) for name in fields}


def prior_of(
    config: Mapping[str, Any],
    degrade: Degradation,
    image_shape: tuple[int, int, int],
    arrays: Mapping[str, np.ndarray],
) -> Prior | None:
    """Returns the prior of a model, without the noise of `noisy`; None if it has none.

    If the degradation blends with images, it is that of these images, with the noise
    that they have in training.

    Args:
        config: the configuration.
        degrade: D.
        image_shape: (H, W, C) of the images.
        arrays: from `measure_prior`.
    """
    of_noise = isinstance(degrade, Blend | BlurAndNoise)
    if of_noise and endpoint_kind(degrade) == "noise":
        return NormalPrior(image_shape)
    if isinstance(degrade, Blend) and degrade.endpoint_kind == "color":
        assert degrade.draw_endpoint is not None
        (color_range,) = degrade.draw_endpoint.args
        return ColorPrior(color_range, image_shape)
    prior: Prior
    if "images" in arrays:
        prior = EmpiricalPrior(to_float(arrays["images"]))
    elif "means" in arrays:
        values = {name: jnp.asarray(array) for name, array in arrays.items()}
        block = round((arrays["means"].shape[1] / image_shape[2]) ** 0.5)
        prior = MixturePrior(**values, image_shape=image_shape, block=block)
    else:
        return None
    noise_std = config.get("prior", {}).get("noise_std", 0.0)
    inner = degrade.degradation if isinstance(degrade, Noisy) else degrade
    if isinstance(inner, Blend):
        noise_std = inner.endpoint_noise
    return PerturbedPrior(prior, noise_std) if noise_std else prior


def save_prior(arrays: Mapping[str, np.ndarray], workdir: str) -> None:
    """Writes the arrays of a prior, if there are any, to a run folder."""
    if arrays:
        disk.write_file(os.path.join(workdir, _FILE), npz_bytes(**arrays))


def load_prior(workdir: str) -> dict[str, np.ndarray]:
    """Reads the arrays of the prior of a run folder; none if it has none.

    Raises:
        InputError: the file is damaged.
    """
    path = os.path.join(workdir, _FILE)
    if not os.path.exists(path):
        return {}
    try:
        with open(path, "rb") as file, open_npz(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # A damaged file may raise anything.
        raise InputError(
            f"{path} is damaged; the same training command writes it anew"
        ) from error


def _fully_degraded(degrade: Degradation, x_0: chex.Array) -> chex.Array:
    return degrade(x_0, degrade.num_steps)


def _spread(images: Images, count: int, preprocessing: Preprocessing) -> np.ndarray:
    """Loads at most this many images, from the first to the last, uint8."""
    last = len(images) - 1
    indices = np.linspace(0, last, min(count, len(images))).round().astype(int)
    return np.stack([load_image(images, int(i), preprocessing.test) for i in indices])
