"""Restoring photographs after pairs of a degraded and a clean one; T = 10.

PAIRS="--config.data.path=clean --config.endpoints.path=degraded"
python train.py --config=configs/photo_pairs.py $PAIRS        one GPU or TPU
python train.py --config=configs/photo_pairs.py:cpu $PAIRS    two CPU cores
python train.py --config=configs/photo_pairs.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/photo_pairs-cpu --photo=degraded.jpg

For degradations that nobody can write down. `clean` and `degraded` are two folders of
photographs of the same scenes and the same sizes, aligned to the pixel. A file and its
partner have the same path below their folders, but for the extension. Both are cut to
the same random windows of 64 x 64 pixels. A tenth of the pairs is kept for testing, or
those in subfolders `test`. See docs/training.md.

x_t = (1 - t / T) x_0 + (t / T) y, where y is the degraded photograph. The network
predicts x_0, by the squared error.

Reference: not in the paper. Delbracio and Milanfar (2023), "Inversion by direct
iteration", arXiv:2303.11435, whose step is Algorithm 2 with --endpoint=estimated.
"""

import ml_collections

from colddiff_jax.training.config import default_config, section, with_variant
from colddiff_jax.training.presets import (
    use_photographs,
    use_smoke,
    use_two_cores_for_photographs,
)

T = 10


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "blend",
            "image_weights": {"name": "linear_decay", "num_steps": T},
            "endpoint_weights": {
                "name": "linear",
                "num_steps": T,
                "start": 1 / T,
                "increment": 1 / T,
            },
            "endpoint": "image",
        }
    )
    use_photographs(config)
    config.endpoints.update({"source": "folder", "paired": True})
    config.loss = section("loss", name="l2")
    return with_variant(
        config, variant, cpu=use_two_cores_for_photographs, smoke=_use_smoke
    )


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    use_smoke(config)
    config.endpoints.source = "coarse_digits"
