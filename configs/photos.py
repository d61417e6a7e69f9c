"""Undoing any degradation of your own photographs; by default a blur, T = 20.

PHOTOS=--config.data.path=photos
SNOW="--config.degradation=snow --config.degradation.num_steps=20"
python train.py --config=configs/photos.py $PHOTOS              one GPU or TPU
python train.py --config=configs/photos.py:cpu $PHOTOS          two CPU cores
python train.py --config=configs/photos.py:cpu $PHOTOS $SNOW    another degradation
python train.py --config=configs/photos.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/photos-cpu --photo=clean.jpg --degrade

`photos` is a folder of two or more photographs of any sizes, at least 64 pixels on each
side. Every step cuts random windows of 64 x 64 pixels out of them at full resolution,
and mirrors half of these; sampling restores whole photographs, of any size. A tenth of
the files is kept for testing, or those in a subfolder `test`. See docs/training.md.

The network and the training are those of `configs/photo_*.py`, which know more of one
degradation each: prefer them for blur, large pixels, holes and JPEG files. Here nothing
depends on the degradation: `--config.degradation=NAME` replaces it, and with --help
lists the fields of the new one. By default, kernels of 11 x 11 pixels and standard
deviation 0.9 make blurs of 0.9 to 4 pixels, whatever the photographs' size.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_photographs,
    use_smoke,
    use_two_cores_for_photographs,
)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "gaussian_blur",
            "stds": {"name": "constant", "num_steps": 20, "value": 0.9},
            "kernel_size": 11,
            "padding": "reflect",
        }
    )
    use_photographs(config)
    return with_variant(
        config, variant, cpu=use_two_cores_for_photographs, smoke=use_smoke
    )
