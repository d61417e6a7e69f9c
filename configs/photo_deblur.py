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
per step. The network has 1.5 million parameters. It is local: it restores
photographs of any size, in tiles if they are large.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import use_smoke, use_two_cores

_NUM_TEST_IMAGES = 4  # A small folder has few.
_NETWORK = {
    "base_channels": 48,
    "channel_multipliers": (1, 2),
    "num_blocks": 1,
    "attention_resolutions": (),
    "local": True,
    "dropout": 0.0,
    "patch_size": 2,
}


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
    config.data.update(
        {
            "source": "folder",
            "channels": 3,
            "image_size": 64,
            "crop": True,
            "flip": True,
        }
    )
    config.model.update({"precondition": True, **_NETWORK})
    config.evaluation.num_images = _NUM_TEST_IMAGES
    return with_variant(config, variant, cpu=_use_cpu, smoke=use_smoke)


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    use_two_cores(config)
    config.model.update(_NETWORK)
    # A window has as many pixels as four digits.
    config.training.update({"batch_size": 8, "num_steps": 24_000})
    config.optimizer.update({"learning_rate": 1e-3, "decay_steps": 24_000})
    config.evaluation.num_images = _NUM_TEST_IMAGES
