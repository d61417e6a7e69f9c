"""Scores of restored test images: RMSE, SSIM and the distance between sets."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import metrics, sampling
from colddiff_jax.data import Batch
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.evaluation.choose_nets import choose_nets
from colddiff_jax.evaluation.set_features import SetFeatures
from colddiff_jax.experiment.model import Model
from colddiff_jax.io import images
from colddiff_jax.prng import indexed_keys
from colddiff_jax.restoration.restore import degrade_batch

Restore = Callable[[Any, Degradation, chex.Array], chex.Array]


class SetScores:
    """Restores and scores the same images by walks that are no samplers.

    Attributes:
        net: the feature network.
    """

    def __init__(
        self, model: Model, pixels: np.ndarray, features: str, batch_size: int
    ):
        """Finds the features of the clean images.

        Args:
            model: the model, for its degradation.
            pixels: clean images, uint8 [N, H, W, C].
            features: the feature network, as for evaluate.py.
            batch_size: images at once.
        """
        (self.net,) = choose_nets([features], model, num_images=len(pixels))
        self._features = SetFeatures(self.net, batch_size)
        self._clean, _ = self._features(pixels)
        self._degrade = model.degrade
        self._pixels, self._batch_size = pixels, batch_size

    def __call__(
        self, restore: Restore, params: Any, key: chex.PRNGKey
    ) -> dict[str, float]:
        """Returns "rmse", "ssim" and "frechet".

        Args:
            restore: maps parameters, D, bound, and x_T to restored images.
            params: the parameters of the network.
            key: for the draws of D.
        """

        def sample(shared: tuple, indexed: tuple) -> dict[str, jax.Array]:
            params, degrade, key = shared
            batch, indices = indexed
            x_0, D, x_T = degrade_batch(
                degrade, indexed_keys(key, indices), batch, degrade.num_steps
            )
            restored = images.as_saved(restore(params, D, x_T))
            return {
                "mse": metrics.mean_squared_error(restored, x_0),
                "ssim": metrics.ssim(restored, x_0),
                "restored": jnp.round((restored + 1) * 127.5).astype(jnp.uint8),
            }

        run = sampling.BatchSampler(sample, batch_size=self._batch_size)
        indexed = (Batch(self._pixels), np.arange(len(self._pixels)))
        scores = run((params, self._degrade, key), indexed)
        moments, _ = self._features(scores["restored"])
        return {
            "rmse": float(scores["mse"].mean()) ** 0.5,
            "ssim": float(scores["ssim"].mean()),
            "frechet": metrics.frechet_distance(moments, self._clean),
        }
