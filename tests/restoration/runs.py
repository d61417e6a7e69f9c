"""Run folders with untrained networks, for tests."""

import json
import pathlib
from collections.abc import Mapping

import ml_collections
import numpy as np

from colddiff_jax.experiment.run_folder import describe, save_description
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.task import build_model_and_task, start_state
from configs import digits_blur


def save_images(path: pathlib.Path, channels: int = 1) -> None:
    """Writes 32 training and 8 test images of noise, 16 x 16 pixels, as npz."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16, 16, channels), np.uint8)
    np.savez(path, train_images=images[:32], test_images=images[32:])


def npz_config(path: pathlib.Path, **model) -> ml_collections.ConfigDict:
    """Returns the configuration of a small network for the images of `save_images`."""
    config = digits_blur.get_config("smoke")
    config.data.update({"source": "npz", "path": str(path)})
    config.model.update({"channel_multipliers": (1,)} | model)
    return config


def save_run(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    losses: Mapping[int, float],
) -> TrainState:
    """Writes a run folder with one state as checkpoints of these steps and losses."""
    model, task = build_model_and_task(config)
    workdir.mkdir()
    channels = model.image_shape[-1]
    about = describe(model.config, task.data.fingerprint(), model.scales, channels)
    save_description(about, str(workdir))
    state = start_state(model, task)
    with open_checkpoints(str(workdir)) as saved:
        for step, loss in losses.items():
            state = state.replace(step=state.step * 0 + step)
            saved.save(state, step, {"test_loss": loss}, about)
    return state


def as_earlier_version(about: Mapping) -> dict:
    """Returns the description of a run of `npz_config` as earlier versions wrote it."""
    about = json.loads(json.dumps(about))
    del about["channels"]
    config = about["config"]
    for name in ("attention_implementation", "remat", "zero_output"):
        del config["model"][name]
    del config["degradation"]["repeated"]
    for name in ("data", "endpoints"):
        config[name]["test_share"] = config[name].pop("test_fraction")
    return about
