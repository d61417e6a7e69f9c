"""How degraded is an image? An estimate of its step t from its spectrum."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import prng
from colddiff_jax.checks import InputError
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.degradations.jpeg import block_transform
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.io.images import as_saved

_DIGITS = 5  # Of the numbers in the file of a model.
_FILE = "severity.json"  # In a run folder.


class SeverityEstimator(NamedTuple):
    """A Gaussian of features for every step, with a common covariance.

        t_hat = sum_t t p_t / sum_t p_t,    p_t = exp(-(f - mu_t)^T P (f - mu_t) / 2)

    where f are the logarithms of the energies of the 8 x 8 cosine transform, in which
    blur, pixels, compression and lost colour leave their marks.

    Attributes:
        means: mu_t for t = 1..T, float [T, F].
        precision: P, the inverse of the covariance, float [F, F].

    Reference:
        Linear discriminant analysis (Fisher 1936; Hastie, Tibshirani, Friedman: The
        Elements of Statistical Learning, section 4.3). Not in the paper.
    """

    means: np.ndarray
    precision: np.ndarray

    def estimate(self, images: chex.Array) -> np.ndarray:
        """Estimates the steps of degraded images, float [B, H, W, C]; int [B]."""
        return self.from_features(np.asarray(severity_features(images), np.float64))

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """Estimates the steps from features, float64 [..., F]; int [...]."""
        apart = features[..., None, :] - self.means
        exponents = -np.einsum("...f,fg,...g->...", apart, self.precision, apart) / 2
        weights = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
        steps = np.arange(1, len(self.means) + 1)
        mean = weights @ steps / weights.sum(axis=-1)
        return np.round(mean).astype(int)

    def as_json(self) -> dict[str, Any]:
        """Returns nested lists, for the file of a model."""
        return {
            name: [[float(f"{value:.{_DIGITS}g}") for value in row] for row in rows]
            for name, rows in self._asdict().items()
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "SeverityEstimator":
        """Returns the estimator that `as_json` describes."""
        return cls(*(np.asarray(found[name], np.float64) for name in cls._fields))


@jax.jit
def severity_features(images: chex.Array) -> chex.Array:
    """Returns the features of images, float [B, H, W, C] -> [B, F].

    They are the logarithms of the mean energies of the coefficients of 8 x 8 blocks but
    the mean, of the luminance and, of three channels, the ratio of colour to luminance.
    Energies below those of rounding to 8 bits count as that.
    """
    energies = jnp.square(block_transform(images)).mean(axis=(1, 3))  # [B, 8, 8, C]
    rounding = (2 / 255) ** 2 / 12
    logs = jnp.log(energies + rounding)
    luminance = logs[..., 0].reshape(len(images), -1)[:, 1:]
    # Contrast differs from image to image; the shape of the spectrum says more.
    shape = luminance - luminance.mean(axis=1, keepdims=True)
    color = logs[..., 1:].mean(axis=(1, 2)) - luminance.mean(axis=1, keepdims=True)
    return jnp.concatenate(
        [shape, luminance.mean(axis=1, keepdims=True), color], axis=1
    )


def fit_severity(
    degrade: Degradation, x_0: chex.Array, *, key: chex.PRNGKey
) -> SeverityEstimator:
    """Fits the estimator to clean images, degraded to every step and rounded to 8 bits.

    Args:
        degrade: D, unbound.
        x_0: clean images, float [B, H, W, C] in [-1, 1]; at least 8 x 8 pixels.
        key: for degradations with random draws.

    Raises:
        InputError: fewer than two images, or images smaller than 8 x 8.

    Example:
        >>> degrade = heat_blur(32, [0.5, 1.0, 2.0, 4.0])
        >>> x_0 = jax.random.uniform(jax.random.key(0), (8, 32, 32, 3), minval=-1)
        >>> estimator = fit_severity(degrade, x_0, key=jax.random.key(1))
        >>> estimator.estimate(degrade(x_0, 3))[:4]
        array([3, 3, 3, 3])
    """
    if len(x_0) < 2 or min(x_0.shape[1:3]) < 8:
        raise InputError(
            "an estimate of the severity needs at least two images of at least 8 x 8 "
            f"pixels, got shape {x_0.shape}"
        )
    features = degraded_features(degrade, x_0, key=key)
    means = features.mean(axis=1)
    apart = (features - means[:, None]).reshape(-1, means.shape[1])
    # The prior of a few images, so that the covariance can be inverted.
    covariance = apart.T @ apart + np.eye(means.shape[1])
    covariance /= max(1, len(apart) - len(means)) + 1
    return SeverityEstimator(means, np.linalg.inv(covariance))


def degraded_features(
    degrade: Degradation, x_0: chex.Array, *, key: chex.PRNGKey
) -> np.ndarray:
    """Returns the features of images degraded to every step, float64 [T, B, F]."""
    bound = degrade.bind(prng.indexed_keys(key, jnp.arange(len(x_0))), x_0.shape)
    at = jax.jit(_features_at)
    steps = range(1, degrade.num_steps + 1)
    return np.stack([np.asarray(at(bound, x_0, t), np.float64) for t in steps])


def _features_at(degrade: Callable, x_0: chex.Array, t: chex.Array) -> chex.Array:
    return severity_features(as_saved(degrade(x_0, t)))


def save_severity(estimator: SeverityEstimator, workdir: str) -> None:
    """Writes an estimator to a run folder, for `load_severity`."""
    text = json.dumps(estimator.as_json())
    write_atomically(os.path.join(workdir, _FILE), text.encode())


def load_severity(workdir: str) -> SeverityEstimator | None:
    """Reads the estimator of a run folder; None if it has none.

    Raises:
        InputError: the file is damaged.
    """
    path = os.path.join(workdir, _FILE)
    if not os.path.exists(path):
        return None
    try:
        with open(path) as file:
            return SeverityEstimator.from_json(json.load(file))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged; fit it again with python -m colddiff_jax.cli.severity "
            f"--workdir={workdir}"
        ) from error
