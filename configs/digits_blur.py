"""Deblurring scikit-learn's digits: a few minutes on a CPU, nothing to download.

python train.py --config=configs/digits_blur.py
python train.py --config=configs/digits_blur.py:smoke    seconds, a smoke test

The 8 x 8 digits are resized to 16 x 16 and blurred by T = 20 kernels of 5 x 5 and
standard deviation 0.7, after which they are illegible.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import use_smoke


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "gaussian_blur",
            "stds": {"name": "constant", "num_steps": 20, "value": 0.7},
            "kernel_size": 5,
            "padding": "circular",
        }
    )
    config.data.update({"source": "digits", "image_size": 16, "resize_to": 16})
    config.model.update(
        {
            "base_channels": 32,
            "channel_multipliers": (1, 2),
            "num_blocks": 1,
            "attention_resolutions": (),
            "num_groups": 8,
            "dropout": 0.0,
            "patch_size": 2,
            "dtype": "float32",
        }
    )
    config.optimizer.update(
        {"learning_rate": 2e-3, "warmup_steps": 100, "decay_steps": 1500}
    )
    config.ema.decay = 0.995
    config.training.update(
        {
            "batch_size": 64,
            "num_steps": 1500,
            "log_every": 50,
            "evaluate_every": 500,
            "checkpoint_every": 500,
        }
    )
    config.evaluation.update({"num_images": 128, "batch_size": 64})
    return with_variant(config, variant, smoke=use_smoke)
