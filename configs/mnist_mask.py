"""Inpainting MNIST: T = 50, Gaussian masks of std 0.1 (i + 11) around a random centre.

python train.py --config=configs/mnist_mask.py          one GPU or TPU
python train.py --config=configs/mnist_mask.py:cpu      a small network, two CPU cores
python train.py --config=configs/mnist_mask.py:paper    the published settings
python train.py --config=configs/mnist_mask.py:smoke    seconds, on bundled digits

Prepare MNIST once with `python -m colddiff_jax.data.prepare mnist`, or read a file of
your own: --config.data.source=npz --config.data.path=mnist.npz

The 28 x 28 digits are resized to 32, as published: a side that the network can halve.

Reference: Bansal et al. (2022), section 4.2. `paper` has the schedule, network
(56,612,916 parameters), optimiser, average and number of steps of the official code;
the rounding of its training input to 8 bits is left out.
"""

import ml_collections

from configs import base


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = base.get_config(variant, known=("cpu", "paper", "smoke"))
    config.data.update({"name": "mnist", "resize_to": 32})
    config.degradation = ml_collections.ConfigDict(
        {
            "name": "gaussian_mask",
            "stds": {
                "name": "linear",
                "num_steps": 50,
                "start": 1.1,
                "increment": 0.1,
            },
            "center": "random",
        }
    )
    config.model.update({"base_channels": 64, "dropout": 0.0})
    if variant == "cpu":
        base.use_two_cores(config)
    if variant == "paper":
        base.use_published_convnext(config)
        base.use_published_training(config)
    if variant == "smoke":
        base.use_smoke(config)
    return config
