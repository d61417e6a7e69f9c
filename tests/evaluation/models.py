"""A model and its images for tests of evaluations."""

import dataclasses

import numpy as np

from colddiff_jax import devices
from colddiff_jax.data import arrays
from colddiff_jax.experiment.data import RunData
from colddiff_jax.experiment.model import Model, build_model
from colddiff_jax.feature_nets import FeatureNet, Features
from colddiff_jax.metrics.distances import MomentsAccumulator
from colddiff_jax.metrics.reference import Reference
from colddiff_jax.restoration.image_set import ImageSet, split_of
from colddiff_jax.restoration.restorer import Restorer
from configs import mnist_mask
from tests.networks import random_parameters, tiny_unet

NET = FeatureNet("colours", lambda _, x: Features(x.mean((1, 2))))


def mask_model() -> Model:
    """Returns a small network that removes masks of two steps from 16 x 16 pixels."""
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 16}
    config["degradation"]["stds"] = (3.0, 3.0)
    model = build_model(config, channels=3)
    return dataclasses.replace(model, network=tiny_unet())


def noise_model() -> Model:
    """Returns the same network with four steps of Gaussian noise."""
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 16}
    alphas = {"name": "cosine", "num_steps": 4}
    config["degradation"] = {"name": "gaussian_noise", "alphas_cumprod": alphas}
    config["model"]["consistent_noise"] = ()  # Noise has no inverse.
    model = build_model(config, channels=3)
    return dataclasses.replace(model, network=tiny_unet())


def make_restorer(model: Model) -> Restorer:
    """Returns a model with random weights, as if of step 7."""
    params = random_parameters(model.network, (16, 16, 3))
    return Restorer(model, devices.replicate(params), step=7, trained_on="")


def shifted_photos(golden, model: Model) -> ImageSet:
    """Returns 22 test images: photographs that are shifted at random."""
    pixels = golden["images32"]
    rng = np.random.default_rng(0)
    images = np.stack([np.roll(pixels[i % 4], rng.integers(32), 0) for i in range(22)])
    return split_of(RunData(arrays(images[:6], images), None), model.preprocessing)


def random_reference() -> Reference:
    """Returns a reference of 20 random rows of features of `NET`, as if of MNIST."""
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    accumulator = MomentsAccumulator()
    accumulator.add(rows)
    return Reference(
        name="mnist test",
        feature_net=NET.name,
        feature_fingerprint=NET.fingerprint,
        data={"source": "mnist", "split": "test", "count": 20},
        moments=accumulator.finish(),
        features=rows,
    )
