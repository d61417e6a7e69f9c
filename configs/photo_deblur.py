"""Deblurring photographs: blurs of 0.5 to 4 pixels in T = 8 steps, 64 x 64 windows.

PHOTOS=--config.data.path=photos
python train.py --config=configs/photo_deblur.py $PHOTOS        one GPU or TPU
python train.py --config=configs/photo_deblur.py:cpu $PHOTOS    two CPU cores
python train.py --config=configs/photo_deblur.py:smoke    seconds, on bundled digits

`photos` is a folder of sharp photographs of any sizes, at least 64 pixels on each side;
no blurred ones are needed. Every step cuts random windows out of them at full
resolution, and mirrors half of these. A tenth of the files is kept for testing, or
those in a subfolder `test`. See docs/training.md.

The blur is that of the heat equation, and its standard deviation grows by half a pixel
per step. The network takes the image after a Wiener filter, and its predictions agree
with what that tells: it only has to learn what the blur has lost. The noise of each
example lies between that of rounding to 8 bits and that of strong JPEG compression.
"""

import ml_collections

from colddiff_jax.sampling import EIGHT_BITS
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
            "name": "heat_blur",
            "blur_sigmas": {
                "name": "linear",
                "num_steps": 8,
                "start": 0.5,
                "increment": 0.5,
            },
        }
    )
    use_photographs(config)
    config.model.consistent_noise = (EIGHT_BITS, 0.03)
    return with_variant(
        config, variant, cpu=use_two_cores_for_photographs, smoke=use_smoke
    )
