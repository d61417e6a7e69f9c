"""Filling holes in photographs: ellipses and rectangles, T = 5, 64 x 64 windows.

PHOTOS=--config.data.path=photos
python train.py --config=configs/photo_inpaint.py $PHOTOS        one GPU or TPU
python train.py --config=configs/photo_inpaint.py:cpu $PHOTOS    two CPU cores
python train.py --config=configs/photo_inpaint.py:smoke    seconds, on bundled digits

`photos` is a folder of whole photographs of any sizes, at least 64 pixels on each side;
no damaged ones are needed. Every step cuts random windows out of them at full
resolution, and mirrors half of these. A tenth of the files is kept for testing, or
those in a subfolder `test`. See docs/training.md.

Holes of any place, size and direction, four to 32 pixels long, are random in training.
They grow from their middles to their borders. Predictions keep the pixels that remain.
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
        degradation={"name": "holes", "num_steps": 5, "radii": (2.0, 16.0)}
    )
    use_photographs(config)
    config.model.consistent_noise = (EIGHT_BITS, EIGHT_BITS)
    return with_variant(
        config, variant, cpu=use_two_cores_for_photographs, smoke=use_smoke
    )
