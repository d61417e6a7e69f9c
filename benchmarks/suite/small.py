"""The small network for two CPU cores, `configs/mnist_blur.py:cpu`, on real images."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.suite import Form
from colddiff_jax.data import ImageSplits, arrays, digits
from colddiff_jax.degradations.separable import Separable
from colddiff_jax.experiment.model import Model
from colddiff_jax.io.images import to_float
from colddiff_jax.models.preconditioning import Scales
from colddiff_jax.training.config import get_config
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.task import Task, build_model_and_task, start_state

NUM_IMAGES = 6000  # Enough that an epoch is not short.
KERNEL, STD, T = 11, 7.0, 20  # The published blur of MNIST.


class Small(NamedTuple):
    """The small network with its task, its first state, and the images.

    Attributes:
        config: the configuration.
        model: the degradation and the network.
        task: how it is trained.
        state: the initial state.
        images: the training images, uint8 [N, 32, 32, 1].
    """

    config: Any
    model: Model
    task: Task
    state: TrainState
    images: np.ndarray

    @property
    def scales(self) -> Scales:
        """The scales of the preconditioned network."""
        assert self.model.scales is not None
        return self.model.scales

    @property
    def operators(self) -> np.ndarray:
        """The tables of the blur, [T, 32, 32]."""
        assert isinstance(self.model.degrade, Separable)
        return np.asarray(self.model.degrade.operators[0])

    def batch(self, size: int) -> jax.Array:
        """Returns the first images, float32 [size, 32, 32, 1] in [-1, 1]."""
        return jnp.asarray(to_float(self.images[:size]))


def configuration(form: Form) -> Any:
    """Returns `configs/mnist_blur.py:cpu`; a smoke test has a smaller network."""
    config = get_config("mnist_blur:cpu")
    if form == "smoke":
        config.model.update({"base_channels": 32, "channel_multipliers": (1,)})
        config.training.batch_size = 8
    return config


@functools.cache
def build(form: Form) -> Small:
    """Builds the small network, once for all parts."""
    config = configuration(form)
    splits = enlarged_digits()
    model, task = build_model_and_task(config, splits=splits)
    images = np.asarray(splits.train)
    return Small(config, model, task, start_state(model, task), images)


def enlarged_digits() -> ImageSplits:
    """Returns scikit-learn's digits as 32 x 32 images, the training images repeated."""
    bundled = digits()
    cell = np.ones((1, 4, 4, 1), np.uint8)
    train, test = (
        np.kron(np.asarray(images), cell) for images in (bundled.train, bundled.test)
    )
    return arrays(np.resize(train, (NUM_IMAGES, *train.shape[1:])), test)
