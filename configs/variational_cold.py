"""Blur and fade to black in six steps, as in variational cold diffusion; T = 6.

FOLDER=--config.data.path=celeba
python train.py --config=configs/variational_cold.py $FOLDER        one GPU or TPU
python train.py --config=configs/variational_cold.py:cpu $FOLDER    64 x 64, two cores
python train.py --config=configs/variational_cold.py:mnist          MNIST, two cores
python train.py --config=configs/variational_cold.py:smoke          seconds, on digits
python sample.py --workdir=runs/variational_cold

The blur of the heat equation grows from 1 pixel to the side of the image in equal
ratios, and then stays, while the image fades to black: x_T is black, but for noise of
0.004 (0.002 for images in [0, 1]), and says nothing of x_0. The published network is
given a latent code of the image, by a variational encoder, and is trained on its own
trajectories; neither is part of this configuration, so that all images drawn from x_T
are alike, and what it restores begins at a smaller t (`--start=3`).

MNIST is prepared once with `python -m colddiff_jax.cli.prepare mnist`, or read from a
file with --config.data.source=npz --config.data.path=mnist.npz

Reference: "Variational Cold Diffusion", github.com/MaxFeucht/VariationalColdDiffusion.
"""

import ml_collections
import numpy as np

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_generation,
    use_mnist,
    use_smoke,
    use_two_cores_for_generation,
)

T = 6


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "heat_blur",
            "blur_sigmas": _blur_sigmas(128),
            "fade_to_black": _remaining(),
            "noise_stds": T * (0.004,),
        }
    )
    use_generation(config)
    config.ema.decay = 0.998
    config.prior.images = 1
    return with_variant(
        config, variant, cpu=_use_cpu, mnist=_use_mnist, smoke=_use_smoke
    )


def _blur_sigmas(side: int) -> tuple[float, ...]:
    """Returns widths from 1 to the side, the last of them twice."""
    widths = np.geomspace(1, side, T - 1)
    return (*widths.tolist(), float(side))


def _remaining(offset: float = 0.008) -> tuple[float, ...]:
    """Returns cos^2 from 1 to 0, the light that remains."""
    angles = np.pi / 2 * (np.linspace(0, 1, T) + offset) / (1 + offset)
    return (*(np.cos(angles[:-1]) ** 2).tolist(), 0.0)


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    config.degradation.blur_sigmas = _blur_sigmas(64)
    use_two_cores_for_generation(config)
    config.ema.decay = 0.998


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    config.degradation.blur_sigmas = _blur_sigmas(32)
    use_two_cores_for_generation(config)
    config.ema.decay = 0.998


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    config.degradation.blur_sigmas = _blur_sigmas(16)
    use_smoke(config)
