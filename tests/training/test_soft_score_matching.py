"""The loss of Soft Diffusion, Daras et al. (2022), in NumPy and float64."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.data import Batch
from colddiff_jax.prng import indexed_keys, stream
from colddiff_jax.training.objective import Objective

SIZE, T, NUMBER = 8, 4, 64
WIDTHS, STDS = [0.5, 1.0, 2.0, 4.0], np.array([0.05, 0.1, 0.2, 0.4])
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (NUMBER, SIZE, SIZE, 1)).astype(np.uint8)
PREDICTED = RNG.normal(size=(NUMBER, SIZE, SIZE, 1))


@dataclasses.dataclass
class Network:
    """Replaces a network: records its inputs, and predicts the same images always."""

    seen: list = dataclasses.field(default_factory=list)

    def apply(self, variables, x, t, *, dropout_keys=None):
        del variables, dropout_keys
        self.seen.append((np.asarray(x, np.float64), np.asarray(t)))
        return jnp.asarray(PREDICTED, jnp.float32)


def corrupted(x, t):
    """C_t x: frequency k of an axis is multiplied by exp(-(pi k w / S)^2 / 2)."""
    k, pixels = np.arange(SIZE), np.arange(SIZE) + 0.5
    modes = np.cos(np.pi * k[:, None] * pixels / SIZE)
    modes /= np.linalg.norm(modes, axis=1, keepdims=True)
    gains = np.exp(-((np.pi * k * WIDTHS[t - 1] / SIZE) ** 2) / 2)
    C = modes.T @ np.diag(gains) @ modes
    return np.einsum("ij,jwc,kw->ikc", C, x, C)


def losses(**options):
    network = Network()
    degrade = cd.noisy(cd.heat_blur(SIZE, WIDTHS), STDS)
    keys = indexed_keys(stream(0, "test"), jnp.arange(NUMBER))
    objective = Objective(distance=jnp.square, compare="degraded", **options)
    found = objective.losses(network, {}, degrade, Batch(IMAGES), keys)
    ((x_t, t),) = network.seen
    return np.asarray(found), x_t, t


def test_the_loss_is_the_error_that_the_corruption_leaves_of_the_prediction():
    found, _, t = losses()
    for i in range(NUMBER):
        x_0 = IMAGES[i] / 127.5 - 1
        error = corrupted(PREDICTED[i], t[i]) - corrupted(x_0, t[i])
        assert found[i] == pytest.approx((error**2).mean(), rel=1e-6, abs=1e-6)


def test_with_weights_it_is_the_error_of_the_score():
    """s = (C_t x0_hat - x_t) / sigma^2 against grad log q(x_t | x_0)."""
    found, x_t, t = losses(weights=tuple(1 / STDS**4))
    for i in range(NUMBER):
        variance = STDS[t[i] - 1] ** 2
        score = (corrupted(PREDICTED[i], t[i]) - x_t[i]) / variance
        target = (corrupted(IMAGES[i] / 127.5 - 1, t[i]) - x_t[i]) / variance
        expected = ((score - target) ** 2).mean()
        assert found[i] == pytest.approx(expected, rel=1e-4)
        assert found[i] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_weighted_by_the_variance_it_is_the_error_of_the_noise():
    """sigma^2 times that of the score: lambda(t) of denoising score matching."""
    found, x_t, t = losses(weights=tuple(1 / STDS**2))
    for i in range(NUMBER):
        std = STDS[t[i] - 1]
        noise = (x_t[i] - corrupted(IMAGES[i] / 127.5 - 1, t[i])) / std
        predicted = (x_t[i] - corrupted(PREDICTED[i], t[i])) / std
        expected = ((predicted - noise) ** 2).mean()
        assert found[i] == pytest.approx(expected, rel=1e-4)
        assert found[i] == pytest.approx(expected, rel=1e-6, abs=1e-6)
