"""Colouring CIFAR-10: T = 20, from grey, the unweighted mean of the channels.

python train.py --config=configs/cifar_desaturate.py          one GPU or TPU
python train.py --config=configs/cifar_desaturate.py:gpu      minutes on one GPU
python train.py --config=configs/cifar_desaturate.py:cpu      small, two CPU cores
python train.py --config=configs/cifar_desaturate.py:paper    the published settings
python train.py --config=configs/cifar_desaturate.py:smoke    seconds, bundled digits

Prepare CIFAR-10 once with `python -m colddiff_jax.cli.prepare cifar10`, or read it from
a file with --config.data.source=npz --config.data.path=cifar10.npz

Reference: Bansal et al. (2022), appendix (colorization). `paper` has the schedule,
network, number of steps and optimizer of the official code, whose images are not
augmented and stay in RGB.
"""

import ml_collections

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
            "name": "desaturate",
            "keep": {"name": "linear_decay", "num_steps": 20},
        }
    )
    config.data.update({"name": "cifar10", "flip": True})
    return with_variant(
        config,
        variant,
        cpu=use_two_cores,
        gpu=use_one_gpu,
        paper=_use_paper,
        smoke=use_smoke,
    )


def _use_paper(config: ml_collections.ConfigDict) -> None:
    config.data.flip = False
    use_published_convnext(config)
