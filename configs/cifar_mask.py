"""Inpainting CIFAR-10: T = 50, Gaussian masks of std 0.1 (i + 11), random centre.

python train.py --config=configs/cifar_mask.py          one GPU or TPU
python train.py --config=configs/cifar_mask.py:gpu      minutes on one GPU
python train.py --config=configs/cifar_mask.py:cpu      a small network, two CPU cores
python train.py --config=configs/cifar_mask.py:paper    the published settings
python train.py --config=configs/cifar_mask.py:smoke    seconds, on bundled digits

Prepare CIFAR-10 once with `python -m colddiff_jax.cli.prepare cifar10`, or read it from
a file with --config.data.source=npz --config.data.path=cifar10.npz

Training images are flipped at random. `paper` also pads them by 4 black pixels and
crops them at random, as published; where a mask hides the border of an image, a network
that has seen that may draw a black one.

The network only fills the hole: predictions are consistent with what x_t shows, also in
training (`model.consistent_noise`). That makes errors much smaller. The paper does not
do it, nor does `paper`.

Reference: Bansal et al. (2022), section 4.2. `paper` has the schedule, network
(35,746,307 parameters), optimizer, average and number of steps of the official code; it
omits the rounding of the training input to 8 bits.
"""

import ml_collections

from colddiff_jax.sampling import FLOAT_NOISE
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
    config.data.update({"name": "cifar10", "flip": True})
    config.model.consistent_noise = (FLOAT_NOISE, 0.01)
    return with_variant(
        config,
        variant,
        cpu=use_two_cores,
        gpu=use_one_gpu,
        paper=_use_paper,
        smoke=use_smoke,
    )


def _use_paper(config: ml_collections.ConfigDict) -> None:
    config.data.pad = 4
    config.model.consistent_noise = ()
    use_published_training(config)
