"""Inpainting CIFAR-10: T = 50, Gaussian masks of std 0.1 (i + 11), random centre.

python train.py --config=configs/cifar_mask.py          one GPU or TPU
python train.py --config=configs/cifar_mask.py:cpu      a small network, two CPU cores
python train.py --config=configs/cifar_mask.py:paper    the published settings
python train.py --config=configs/cifar_mask.py:smoke    seconds, on bundled digits

Prepare CIFAR-10 once with `python -m colddiff_jax.data.prepare cifar10`, or read a file
of your own: --config.data.source=npz --config.data.path=cifar10.npz

Training images are padded by 4 pixels, cut at random and mirrored, as published.

Reference: Bansal et al. (2022), section 4.2. `paper` has the schedule, network
(35,746,307 parameters), optimiser, average and number of steps of the official code;
the rounding of its training input to 8 bits is left out.
"""

import ml_collections

from configs import base


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = base.get_config(variant, known=("cpu", "paper", "smoke"))
    config.data.update({"name": "cifar10", "pad": 4, "flip": True})
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
    if variant == "cpu":
        base.use_two_cores(config)
    if variant == "paper":
        base.use_published_training(config)
    if variant == "smoke":
        base.use_smoke(config)
    return config
