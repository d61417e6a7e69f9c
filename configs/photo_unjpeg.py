"""Removing JPEG artefacts from photographs: quality 80 to 10, T = 8, 64 x 64 windows.

PHOTOS=--config.data.path=photos
python train.py --config=configs/photo_unjpeg.py $PHOTOS        one GPU or TPU
python train.py --config=configs/photo_unjpeg.py:cpu $PHOTOS    two CPU cores
python train.py --config=configs/photo_unjpeg.py:smoke    seconds, on bundled digits

`photos` is a folder of clean photographs of any sizes, at least 64 pixels on each side;
no compressed ones are needed. Every step cuts random windows out of them at full
resolution, and mirrors half of these. A tenth of the files is kept for testing, or
those in a subfolder `test`. See docs/training.md.

The quality falls by 10 per step. Colour has half the resolution, as in most files, and
coefficients and pixels are rounded as in files.
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
            "name": "jpeg_like",
            "qualities": {
                "name": "linear",
                "num_steps": 8,
                "start": 80.0,
                "increment": -10.0,
            },
            "subsample": True,
            "exact": True,
        }
    )
    use_photographs(config)
    return with_variant(
        config, variant, cpu=use_two_cores_for_photographs, smoke=use_smoke
    )
