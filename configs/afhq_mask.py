"""Inpainting animal faces of 64 x 64 pixels: the mask of CIFAR-10 twice as wide.

python train.py --config=configs/afhq_mask.py          one GPU or TPU
python train.py --config=configs/afhq_mask.py:gpu      minutes on one GPU
python train.py --config=configs/afhq_mask.py:cpu      a small network, two CPU cores
python train.py --config=configs/afhq_mask.py:smoke    seconds, on bundled digits

Name the folder of images with --config.data.path=afhq/cat, or a file of arrays with
--config.data.source=npz --config.data.path=cats.npz

The network only fills the hole: predictions are consistent with what x_t shows, also in
training (`model.consistent_noise`). That makes errors much smaller.

Not in the paper, which restores faces of people (CelebA) at 128 x 128 pixels.
"""

import ml_collections

from colddiff_jax.sampling import FLOAT_NOISE
from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_one_gpu_at_64,
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
                "start": 2.2,
                "increment": 0.2,
            },
            "center": "random",
        }
    )
    config.data.update(
        {"source": "folder", "image_size": 64, "resize_to": 64, "flip": True}
    )
    config.model.consistent_noise = (FLOAT_NOISE, 0.01)
    return with_variant(
        config, variant, cpu=use_two_cores, gpu=use_one_gpu_at_64, smoke=use_smoke
    )
