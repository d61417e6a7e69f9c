"""Deblurring CIFAR-10: T = 50, 11 x 11 kernels of std 0.35 + 0.01 i, reflected edges.

python train.py --config=configs/cifar_blur.py          one GPU or TPU
python train.py --config=configs/cifar_blur.py:gpu      minutes on one GPU
python train.py --config=configs/cifar_blur.py:cpu      a small network, two CPU cores
python train.py --config=configs/cifar_blur.py:paper    the published settings
python train.py --config=configs/cifar_blur.py:smoke    seconds, on bundled digits

Prepare CIFAR-10 once with `python -m colddiff_jax.cli.prepare cifar10`, or read it from
a file with --config.data.source=npz --config.data.path=cifar10.npz

Images are resized to 35 and cropped to 32, as published.

Reference: Bansal et al. (2022), section 4.1. `paper` has the schedule, network
(35,746,307 parameters), optimizer, average and number of steps of the official code's
command (T = 50; the paper's text has been quoted with T = 40).
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_one_gpu,
    use_published_training,
    use_smoke,
    use_two_cores,
)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "gaussian_blur",
            "stds": {
                "name": "linear",
                "num_steps": 50,
                "start": 0.35,
                "increment": 0.01,
            },
            "kernel_size": 11,
            "padding": "reflect",
        }
    )
    config.data.update({"name": "cifar10", "resize_to": 35, "flip": True})
    return with_variant(
        config,
        variant,
        cpu=use_two_cores,
        gpu=use_one_gpu,
        paper=use_published_training,
        smoke=use_smoke,
    )
