"""Super-resolution of MNIST: 32 x 32 pixels become 31 x 31, ..., 4 x 4; T = 28.

python train.py --config=configs/mnist_pixelate.py          one GPU or TPU
python train.py --config=configs/mnist_pixelate.py:cpu      a small network, two cores
python train.py --config=configs/mnist_pixelate.py:paper    the published settings
python train.py --config=configs/mnist_pixelate.py:smoke    seconds, on bundled digits

Prepare MNIST once with `python -m colddiff_jax.data.prepare mnist`, or read a file
of your own: --config.data.source=npz --config.data.path=mnist.npz

Every step takes one row and one column of pixels away, the official code's
`Incremental_area`, so that few-step sampling has steps to leave out. `paper` halves
the side three times instead (bicubic, T = 3), which ends in 4 x 4 pixels as well.

The 28 x 28 digits are resized to 32, a side that the network can halve. Over the 10,000
test images those of `paper` then have, fully degraded, its RMSE of 0.231; resized to 35
and cut to 32, as the official code's loader does, they have 0.247.

Reference: Bansal et al. (2022), section 4.3. `paper` has the schedule, network
(56,612,916 parameters), optimiser, average and number of steps of the official code.
"""

import ml_collections

from configs import base


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = base.get_config(variant, known=("cpu", "paper", "smoke"))
    config.data.update({"name": "mnist", "resize_to": 32})
    config.degradation = ml_collections.ConfigDict(
        {
            "name": "pixelate",
            "sizes": tuple(range(31, 3, -1)),
            "method": "area",
        }
    )
    config.model.update({"base_channels": 64, "dropout": 0.0})
    if variant == "cpu":
        base.use_two_cores(config)
    if variant == "paper":
        config.degradation = ml_collections.ConfigDict(
            {
                "name": "pixelate",
                "sizes": {"name": "halving", "num_steps": 3},
                "method": "bicubic",
            }
        )
        base.use_published_convnext(config)
        base.use_published_training(config)
    if variant == "smoke":
        base.use_smoke(config)
    return config
