"""Super-resolution of MNIST: 32 x 32 pixels become 31 x 31, ..., 4 x 4; T = 28.

python train.py --config=configs/mnist_pixelate.py          one GPU or TPU
python train.py --config=configs/mnist_pixelate.py:gpu      minutes on one GPU
python train.py --config=configs/mnist_pixelate.py:cpu      a small network, two cores
python train.py --config=configs/mnist_pixelate.py:paper    the published settings
python train.py --config=configs/mnist_pixelate.py:smoke    seconds, on bundled digits

Prepare MNIST once with `python -m colddiff_jax.cli.prepare mnist`, or read it from a
file with --config.data.source=npz --config.data.path=mnist.npz

Every step removes one row and one column of pixels, the official code's
`Incremental_area`, so that few-step sampling has steps to skip. `paper` halves the side
three times instead (bicubic, T = 3), which also ends in 4 x 4 pixels.

The 28 x 28 digits are resized to 32, a side that the network can halve. Over the 10,000
test images, the fully degraded digits of `paper` then have an RMSE of 0.231, as in the
paper; resized to 35 and cropped to 32, as in the official loader, they have 0.247.

Reference: Bansal et al. (2022), section 4.3. `paper` has the schedule, network
(56,612,916 parameters), optimizer, average and number of steps of the official code.
"""

import ml_collections

from colddiff_jax.training.config import default_config, section, with_variant
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
            "name": "pixelate",
            "sizes": tuple(range(31, 3, -1)),
            "method": "area",
        }
    )
    config.data.update({"name": "mnist", "resize_to": 32})
    config.model.update({"base_channels": 64, "dropout": 0.0})
    return with_variant(
        config,
        variant,
        cpu=use_two_cores,
        gpu=use_one_gpu,
        paper=_use_paper,
        smoke=use_smoke,
    )


def _use_paper(config: ml_collections.ConfigDict) -> None:
    config.degradation = section(
        "degradation",
        name="pixelate",
        sizes={"name": "halving", "num_steps": 3},
        method="bicubic",
    )
    use_published_convnext(config)
