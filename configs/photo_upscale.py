"""Upscaling photographs: blocks of 2 x 2 and 4 x 4 pixels, T = 2, 64 x 64 windows.

PHOTOS=--config.data.path=photos
python train.py --config=configs/photo_upscale.py $PHOTOS        one GPU or TPU
python train.py --config=configs/photo_upscale.py:cpu $PHOTOS    two CPU cores
python train.py --config=configs/photo_upscale.py:smoke    seconds, on bundled digits

`photos` is a folder of sharp photographs of any sizes, at least 64 pixels on each side;
no small ones are needed. Every step cuts random windows out of them at full
resolution, and mirrors half of these. A tenth of the files is kept for testing, or
those in a subfolder `test`. See docs/training.md.

D(x, 1) and D(x, 2) have the means of blocks of 2 x 2 and 4 x 4 pixels. The sizes are
those of a window; a photograph of another size has blocks of as many pixels.
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
        degradation={"name": "pixelate", "sizes": (32, 16), "method": "area"}
    )
    use_photographs(config)
    return with_variant(
        config, variant, cpu=use_two_cores_for_photographs, smoke=use_smoke
    )
