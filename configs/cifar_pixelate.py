"""Super-resolution of CIFAR-10: 32 x 32 pixels become 31 x 31, ..., 4 x 4; T = 28.

python train.py --config=configs/cifar_pixelate.py          one GPU or TPU
python train.py --config=configs/cifar_pixelate.py:gpu      minutes on one GPU
python train.py --config=configs/cifar_pixelate.py:cpu      a small network, two cores
python train.py --config=configs/cifar_pixelate.py:paper    the published settings
python train.py --config=configs/cifar_pixelate.py:smoke    seconds, on bundled digits

Prepare CIFAR-10 once with `python -m colddiff_jax.cli.prepare cifar10`, or read it from
a file with --config.data.source=npz --config.data.path=cifar10.npz

Every step removes one row and one column of pixels, the official code's
`Incremental_area`, so that few-step sampling has steps to skip. `paper` halves the side
three times instead (bicubic, T = 3), which also ends in 4 x 4 pixels.

Training images are flipped at random. `paper` also pads them by 4 black pixels and
crops them at random, as published; a network that has seen that draws black frames
around test images, since 4 x 4 pixels do not say whether there is one.

Over the 10,000 test images, the fully degraded images of `paper` have an RMSE of 0.146,
as reported in the paper; resized to 35 and cropped to 32, as in the official loader,
they have 0.134.

Reference: Bansal et al. (2022), section 4.3. `paper` has the schedule, network
(35,746,307 parameters), optimizer, average and number of steps of the official code.
"""

import ml_collections

from colddiff_jax.training.config import default_config, section, with_variant
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
            "name": "pixelate",
            "sizes": tuple(range(31, 3, -1)),
            "method": "area",
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
    config.data.pad = 4
    config.degradation = section(
        "degradation",
        name="pixelate",
        sizes={"name": "halving", "num_steps": 3},
        method="bicubic",
    )
    use_published_training(config)
