"""Restorers with random weights, for tests."""

import jax

from colddiff_jax.experiment.model import build_model
from colddiff_jax.restoration import Restorer
from colddiff_jax.training.config import default_config
from tests.networks import random_parameters

LOCAL = {
    "base_channels": 8,
    "channel_multipliers": (1, 2),
    "num_blocks": 1,
    "attention_resolutions": (),
    "patch_size": 2,
    "local": True,
    "dtype": "float32",
}
BLUR = {
    "name": "heat_blur",
    "blur_sigmas": {"name": "geometric", "num_steps": 4, "start": 0.5, "stop": 4.0},
}
HALVED = {
    "name": "pixelate",
    "method": "area",
    "sizes": {"name": "halving", "num_steps": 2},
}


LINEAR = {
    "name": "blend",
    "image_weights": (0.75, 0.5, 0.25, 0.0),
    "endpoint_weights": (0.25, 0.5, 0.75, 1.0),
    "endpoint": "image",
}


def make_restorer(
    degradation=BLUR,
    *,
    channels: int = 3,
    image_size: int = 32,
    paired: bool = False,
    **model,
) -> Restorer:
    """Returns a restorer of a local network, or with other fields of the model."""
    config = default_config(degradation=degradation)
    config.data.image_size = image_size
    config.endpoints.paired = paired
    config.model.update(LOCAL | model)
    built = build_model(config, channels=channels)
    seen = channels * (1 + built.sees_endpoint)
    params = random_parameters(built.network, (*built.image_shape[:2], seen))
    return Restorer(built, jax.tree.map(lambda leaf: leaf / 2, params), 7, "images")
