"""The configurations in configs/, and what they build."""

import importlib
import pathlib

from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.training.task import build_model_and_task

NAMES = sorted(
    path.stem
    for path in (pathlib.Path(__file__).parent.parent / "configs").glob("*.py")
)


def config_of(name, variant=None):
    return importlib.import_module(f"configs.{name}").get_config(variant)


def degradation_of(name, variant):
    config = config_of(name, variant)
    return make_degradation(config.degradation.to_dict(), config.data.image_size)


def build(config):
    """Builds the model and the task on bundled images instead of its own."""
    size = config.data.image_size
    config.data.update({"source": "digits", "resize_to": size + 3})
    if config.endpoints.source:
        config.endpoints.source = "digits"
    return build_model_and_task(config)
