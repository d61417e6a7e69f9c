"""A trained model, and what it does to images of any kind and size."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import chex
import numpy as np

from colddiff_jax import sampling
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment.model import Model
from colddiff_jax.experiment.prior import prior_of
from colddiff_jax.reprs import sides
from colddiff_jax.restoration.generation import generate_images
from colddiff_jax.restoration.restore_options import (
    check_no_images_blended,
    check_restore,
    check_step,
    default_sampler,
    enlargement,
    estimated_steps,
)
from colddiff_jax.restoration.samplers import sample_from
from colddiff_jax.restoration.severity import SeverityEstimator
from colddiff_jax.restoration.sizes import TILE, map_by_size
from colddiff_jax.restoration.user_images import read_images, read_masks
from colddiff_jax.sampling import RestoreFn, equal_stride


@dataclasses.dataclass(frozen=True, repr=False)
class Restorer:
    """A trained model; made by `load`.

    Its methods take images as they come: the path of a file, a Pillow image, an array
    [H, W, C] or [B, H, W, C] of uint8 or of floats in [-1, 1], or a list of these, of
    any sizes. They give back the same kind. Files and Pillow images keep their opacity,
    their 16 bits of grey and their colour profile, and are turned upright.

    Attributes:
        model: the degradation and the network.
        params: the averaged (EMA) weights, on all local devices.
        step: the number of optimizer steps of the checkpoint.
        trained_on: the fingerprint of the images it was trained on.
        severity: estimates how degraded an image is, or None.
        prior_arrays: what `prior` needs besides the model; empty if it has none.
        class_names: the names of the classes, if folders or the data set named them.

    Example:
        >>> restorer = load("runs/digits_blur")
        >>> restorer
        Restorer(gaussian_blur, T = 20; unet, 16 x 16 x 1, 6 steps)
        >>> digits = np.zeros((2, 16, 16, 1), np.uint8)
        >>> blurred = restorer.degrade(digits)
        >>> restorer.restore(blurred).dtype
        dtype('uint8')
    """

    model: Model
    params: Any
    step: int
    trained_on: str
    severity: SeverityEstimator | None = None
    prior_arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    @property
    def restore_fn(self) -> RestoreFn:
        """R(x_t, t), for any sampler, at the size of `image_shape`."""
        return self.model.restore_fn(self.params)

    @property
    def degradation(self) -> Degradation:
        """D, unbound, at the size of `image_shape`."""
        return self.model.degrade

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that the model was trained on."""
        return self.model.image_shape

    def __repr__(self) -> str:
        """Describes the model in one line."""
        sections = (self.model.config[name] for name in ("degradation", "model"))
        # Objects of one's own have a kind.
        degradation, model = (fields.get("kind", fields["name"]) for fields in sections)
        T, shape = self.degradation.num_steps, sides(self.image_shape)
        return f"Restorer({degradation}, T = {T}; {model}, {shape}, {self.step} steps)"

    def degrade(
        self, images: Any, t: int | None = None, *, key: chex.PRNGKey | None = None
    ) -> Any:
        """Degrades clean images, x_t = D(x_0, t).

        Args:
            images: clean images; see the class.
            t: the step, in 0..T; None for T.
            key: a PRNG key, for degradations with random draws; None for key 0.

        Returns:
            The degraded images, as what was given.

        Raises:
            InputError: images that cannot be read or do not fit the model, a t outside
                0..T, or a degradation that blends with other images.

        Example:
            >>> restorer = load("runs/digits_blur")
            >>> restorer.degrade(np.ones((16, 16, 1), np.float32), t=3).shape
            (16, 16, 1)
        """
        t = check_step(self.model, t, least=0)
        check_no_images_blended(self.model)
        given = read_images(images, self.image_shape[2])

        def degrade(t: int, _: Any, degrade: Degradation, x: Any, __: Any) -> Any:
            return degrade(x, t)

        steps = [t] * len(given.images)
        return given.give_back(
            map_by_size(self.model, self.params, given.images, steps, degrade, key=key)
        )

    def estimate_step(self, images: Any) -> list[int]:
        """Estimates the steps that images are degraded to.

        Args:
            images: degraded images; see the class.

        Returns:
            One step per image, in 1..T; for a colour image and a grey model, one per
            channel.

        Raises:
            InputError: images that cannot be read or do not fit the model, or a model
                without an estimate.
        """
        given = read_images(images, self.image_shape[2])
        return estimated_steps(self.severity, given.images)

    def restore(
        self,
        images: Any,
        t: int | Literal["auto"] | None = None,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        endpoint: Literal["fixed", "estimated"] | None = None,
        eta: float | None = None,
        consistent: bool = False,
        mask: Any = None,
        noise: float | None = None,
        enlarge: bool = False,
        key: chex.PRNGKey | None = None,
        tile: int = TILE,
    ) -> Any:
        """Restores degraded images with a sampler.

        Args:
            images: images as degraded by D(., t); see the class.
            t: the step that they are degraded to, in 1..T; None for T, and "auto" for
                an estimate for each image.
            sampler: its name in `sampling.SAMPLERS`; "direct" is a single prediction.
                None for "alg2", or "direct" if D rounds or predictions are consistent,
                or "ihd" if R predicts the step before.
            steps: the number of steps from t to 0, of equal stride; None for all. Where
                an estimated t is less, all are taken.
            endpoint: of a blend, "fixed" or "estimated" at every step; None for the
                default of the sampler, mostly "fixed".
            eta: with ddim, the fraction of fresh noise, in [0, 1]; None for 0.
            consistent: make the predictions agree with the images that they are made
                from, as far as their noise allows; see `sampling.consistent`. The
                tables of a photograph take seconds to compute.
            mask: for a model that fills holes, an image that is white where pixels are
                missing, or one for each image; see `read_masks`.
            noise: the standard deviation of the noise of the images, in image units,
                for consistent predictions. None for that of rounding to 256 values, for
                files and uint8, and that of their compression for JPEG files.
            enlarge: for a model of pixelated images: these are small, with one pixel
                for each block, and the results larger, by a factor that t sets.
            key: the key that `degrade` was given, for degradations with random draws;
                samplers that draw noise use it as well. None for key 0.
            tile: side in pixels of the tiles that a local network restores larger
                images in, one after the other; less needs less memory.

        Returns:
            The restored images, as what was given.

        Raises:
            InputError: images that cannot be read, or images or options that do not fit
                the model.

        Example:
            >>> restorer = load("runs/digits_blur")
            >>> x = restorer.degrade(np.zeros((3, 16, 16, 1), np.float32), t=10)
            >>> restorer.restore(x, t=10, steps=5).shape
            (3, 16, 16, 1)
        """
        sampler = sampler or default_sampler(self.model)
        self.check_options(
            t=t,
            sampler=sampler,
            steps=steps,
            endpoint=endpoint,
            eta=eta,
            consistent=consistent,
            mask=mask is not None,
            drawn=key is not None,
            noise=noise,
            enlarge=enlarge,
        )
        factor = enlargement(self.model, check_step(self.model, t)) if enlarge else 1
        given = read_images(images, self.image_shape[2], repeat=factor)
        masks = None if mask is None else read_masks(mask, given.images)
        if t == "auto":
            starts = estimated_steps(self.severity, given.images)
        else:
            starts = [check_step(self.model, t)] * len(given.images)
        noises = given.noises if noise is None else len(given.images) * [noise]

        def run(
            t: int, restore_fn: RestoreFn, degrade: Degradation, x: Any, keys: Any
        ) -> chex.Array:
            if masks is not None or self.model.paired:
                x = degrade(x, t)
            if consistent:
                restore_fn = sampling.consistent(restore_fn, degrade, noise=max(noises))
            calls = 1 if sampler == "direct" else min(steps or t, t)
            timesteps = tuple(equal_stride(t, num_calls=calls).tolist())
            walk = (sampler, timesteps, endpoint, eta)
            return sample_from(restore_fn, degrade, x, keys, *walk)

        results = map_by_size(
            self.model,
            self.params,
            given.images,
            starts,
            run,
            key=key,
            tile=tile,
            factors=consistent,
            masks=masks,
            noises=noises,
        )
        return given.give_back(results)

    def predict(
        self, images: Any, t: int | Literal["auto"] | None = None, **options: Any
    ) -> Any:
        """Predicts clean images in one call of R, with the arguments of `restore`."""
        return self.restore(images, t, sampler="direct", **options)

    @property
    def prior(self) -> sampling.Prior | None:
        """The prior of x_T, from which images are generated, or None."""
        return prior_of(
            self.model.config, self.degradation, self.image_shape, self.prior_arrays
        )

    def generate(
        self,
        n: int,
        key: chex.PRNGKey,
        *,
        prior: sampling.Prior | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Generates images: a draw of x_T from a prior, restored by a sampler.

        Args:
            n: the number of images.
            key: of all draws; image i depends on it and on i alone.
            prior: the prior of x_T, such as `sampling.fit_prior(x_0, degradation)`;
                None for that of the model.
            **options: `sampler`, `steps`, `endpoint`, `eta`, `redraw`, `labels`,
                `guidance`, `interpolate` and `batch_size`; see
                `generation.prepare_generation`.

        Returns:
            float32 [n, H, W, C], about [-1, 1].

        Raises:
            InputError: no prior or one of another shape, or options that do not fit.

        Example:
            >>> restorer = load("runs/digits_blur")
            >>> prior = sampling.EmpiricalPrior(np.zeros((1, 16, 16, 1), np.float32))
            >>> restorer.generate(3, jax.random.key(0), prior=prior).shape
            (3, 16, 16, 1)
        """
        prior = self.prior if prior is None else prior
        return generate_images(self.model, self.params, prior, key, n, **options).x_0

    def check_options(self, **options: Any) -> None:
        """Checks options of `restore`, before any image is read; see `check_restore`.

        Raises:
            InputError: as in `restore`.
        """
        check_restore(self.model, estimates=self.severity is not None, **options)
