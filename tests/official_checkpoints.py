"""Recorded networks of the official code, and checkpoints as it saves them."""

import collections

import ml_collections
import numpy as np

import colddiff_jax as cd
from colddiff_jax.training.config import default_config
from tests.conftest import ROOT

NETWORKS = {
    "unet_convnext": cd.ConvNeXtUNet(base_channels=16, channel_multipliers=(1, 2, 4)),
    "unet_resnet": cd.UNet(
        base_channels=32,
        channel_multipliers=(1, 2),
        num_blocks=1,
        attention_resolutions=(8,),
    ),
}
"""Our networks of the same architectures, by the names of the recordings."""

SHAPE = (16, 16, 3)
"""The shape of their images."""


def recording(name: str):
    """Returns a network's weights, input, official steps and output."""
    with np.load(ROOT / "tests" / "golden" / f"{name}.npz") as recorded:
        weights = {
            key.removeprefix("param/"): recorded[key]
            for key in recorded.files
            if key.startswith("param/")
        }
        x, out = (
            recorded[key].transpose(0, 2, 3, 1) for key in ("input_nchw", "output_nchw")
        )
        return weights, x, recorded["t"].astype(np.int32), out


def checkpoint(weights: dict, prefix: str = "module.denoise_fn.") -> dict:
    """Returns a checkpoint whose averaged weights are 1.01 times its weights."""
    model = collections.OrderedDict(
        (f"{prefix}{name}", value) for name, value in weights.items()
    )
    buffers = {"module.gaussian_kernels.0.weight": np.zeros((3, 1, 5, 5), np.float32)}
    ema = {name: 1.01 * value for name, value in model.items()}
    return {
        "step": 700,
        "model": buffers | model,
        "ema": collections.OrderedDict(buffers | ema),
    }


def official_config(name: str, path) -> ml_collections.ConfigDict:
    """Returns the configuration of a recorded network, for an npz file of images."""
    kind = {"unet_convnext": "convnext", "unet_resnet": "unet"}[name]
    config = default_config(
        degradation={"name": "fade", "keep": (0.6, 0.3, 0.1)}, network=kind
    )
    config.data.update({"source": "npz", "path": str(path), "image_size": SHAPE[0]})
    model = NETWORKS[name]
    for field in ("base_channels", "channel_multipliers"):
        config.model[field] = getattr(model, field)
    if kind == "unet":
        config.model.update({"num_blocks": 1, "attention_resolutions": (8,)})
    config.model.dtype = "float32"
    config.evaluation.update({"num_images": 4, "batch_size": 4})
    return config


def save_images(path, golden) -> None:
    """Writes photographs of that shape as training and test images."""
    images = golden["images32"][:, ::2, ::2]
    np.savez(path, train_images=images, test_images=images)
