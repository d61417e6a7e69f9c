"""Inpainting MNIST: T = 50, Gaussian masks of std 0.1 (i + 11) around a random centre.

python train.py --config=configs/mnist_mask.py          one GPU or TPU
python train.py --config=configs/mnist_mask.py:gpu      minutes on one GPU
python train.py --config=configs/mnist_mask.py:cpu      a small network, two CPU cores
python train.py --config=configs/mnist_mask.py:paper    the published settings
python train.py --config=configs/mnist_mask.py:smoke    seconds, on bundled digits

Prepare MNIST once with `python -m colddiff_jax.cli.prepare mnist`, or read it from a
file with --config.data.source=npz --config.data.path=mnist.npz

The 28 x 28 digits are resized to 32, as published: a side that the network can halve.

The network only fills the hole: predictions are consistent with what x_t shows, also in
training (`model.consistent_noise`). That makes errors much smaller. The paper does not
do it, nor does `paper`.

Reference: Bansal et al. (2022), section 4.2. `paper` has the schedule, network
(56,612,916 parameters), optimizer, average and number of steps of the official code; it
omits the rounding of the training input to 8 bits.
"""

import ml_collections

from colddiff_jax.sampling import FLOAT_NOISE
from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_one_gpu,
    use_published_convnext,
    use_smoke,
    use_two_cores,
)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
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
    config.data.update({"name": "mnist", "resize_to": 32})
    config.model.update({"base_channels": 64, "dropout": 0.0})
    config.model.consistent_noise = (FLOAT_NOISE, 0.01)
    return with_variant(
        config,
        variant,
        cpu=use_two_cores,
        gpu=use_one_gpu,
        paper=use_published_convnext,
        smoke=use_smoke,
    )
