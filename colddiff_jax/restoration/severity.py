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
from colddiff_jax.reprs import short_repr

_DIGITS = 5  # Of the numbers in the file of a model.
_REDUCTIONS = 2, 4  # By which images are also reduced, to see low frequencies.
_SHRINKAGE = 0.02  # Of the correlations of features.
_CHUNK = 64  # Images degraded together, so that memory does not grow with the set.
_FILE = "severity.json"  # In a run folder.


class SeverityEstimator(NamedTuple):
    """A Gaussian of features for every step, with a common covariance.

        t_hat = sum_t t p_t / sum_t p_t,    p_t = exp(-(f - mu_t)^T P (f - mu_t) / 2)

    where f are the logarithms of the energies of the 8 x 8 cosine transform of the
    image and of smaller versions of it, in which blur, pixels, compression and lost
    colour leave their marks.

    Attributes:
        means: mu_t for t = 1..T, float [T, F].
        precision: P, the inverse of the covariance, float [F, F].

    Reference:
        Linear discriminant analysis (Fisher 1936; Hastie, Tibshirani, Friedman: The
        Elements of Statistical Learning, section 4.3). Not in the paper.
    """

    means: np.ndarray
    precision: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)

    def estimate(self, images: chex.Array) -> np.ndarray:
        """Estimates the steps of degraded images, float [B, H, W, C]; int [B]."""
        return self.from_features(np.asarray(severity_features(images), np.float64))

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """Estimates the steps from features, float64 [..., F]; int [...]."""
        # Models of earlier versions know the features of the original size alone.
        apart = features[..., None, : self.means.shape[1]] - self.means
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
    the mean, of the luminance and, of three channels, the ratio of colour to luminance;
    then those of the luminance of images reduced to a half and a quarter, which resolve
    the few low frequencies that a wide blur leaves. Energies below those of rounding to
    8 bits count as that.
    """
    luminance, color = _log_energies(images, 1)
    # Contrast differs from image to image; the shape of the spectrum says more.
    level = luminance.mean(axis=1, keepdims=True)
    features = [luminance - level, level, color - level]
    for factor in _REDUCTIONS:
        reduced, _ = _log_energies(images, factor)
        features.append(reduced - reduced.mean(axis=1, keepdims=True))
    return jnp.concatenate(features, axis=1)


def _log_energies(images: chex.Array, factor: int) -> tuple[chex.Array, chex.Array]:
    """Returns those of the luminance of reduced images, [B, 63], and of colours."""
    batch_size, height, width, channels = images.shape
    padding = ((0, 0), (0, -height % factor), (0, -width % factor), (0, 0))
    padded = jnp.pad(images, padding, mode="edge")
    height, width = (side // factor for side in padded.shape[1:3])
    pixels = padded.reshape(batch_size, height, factor, width, factor, channels)
    energies = jnp.square(block_transform(pixels.mean(axis=(2, 4)))).mean(axis=(1, 3))
    rounding = (2 / 255) ** 2 / 12 / factor**2
    logs = jnp.log(energies + rounding)  # [B, 8, 8, C]
    return logs[..., 0].reshape(batch_size, -1)[:, 1:], logs[..., 1:].mean(axis=(1, 2))


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
    covariance *= 1 - _SHRINKAGE * (1 - np.eye(len(covariance)))
    return SeverityEstimator(means, np.linalg.inv(covariance))


def degraded_features(
    degrade: Degradation, x_0: chex.Array, *, key: chex.PRNGKey
) -> np.ndarray:
    """Returns the features of images degraded to every step, float64 [T, B, F]."""
    at = jax.jit(_features_at)
    steps = range(1, degrade.num_steps + 1)

    def features(first: int) -> np.ndarray:
        images = x_0[first : first + _CHUNK]
        indices = jnp.arange(first, first + len(images))
        bound = degrade.bind(prng.indexed_keys(key, indices), images.shape)
        return np.stack([np.asarray(at(bound, images, t), np.float64) for t in steps])

    chunks = [features(first) for first in range(0, len(x_0), _CHUNK)]
    return np.concatenate(chunks, axis=1)


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
