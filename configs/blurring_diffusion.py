"""Blurring diffusion: images that are blurred while they become noise; T = 200.

FOLDER=--config.data.path=celeba
python train.py --config=configs/blurring_diffusion.py $FOLDER        one GPU or TPU
python train.py --config=configs/blurring_diffusion.py:cpu $FOLDER    64 x 64, two cores
python train.py --config=configs/blurring_diffusion.py:mnist          MNIST, two cores
python train.py --config=configs/blurring_diffusion.py:smoke          seconds, digits
python sample.py --workdir=runs/blurring_diffusion --generate=64 --sampler=ddim --eta=1

Every frequency of an image fades into noise, high ones before low ones. The sampler
ddim with eta = 1 draws from the posterior of each frequency, which is ancestral
sampling. Both schedules are published, and so is the least gain of 0.001; the published
network predicts the noise, by its squared error, with T = 1,000. This one predicts x_0.

MNIST is prepared once with `python -m colddiff_jax.cli.prepare mnist`, or read from a
file with --config.data.source=npz --config.data.path=mnist.npz

Reference: Hoogeboom and Salimans (2022), "Blurring diffusion models", arXiv:2209.05557.
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

T = 200
LOG_SNR = 10.0  # Of the least and, negative, of the most noise.


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "blur_and_noise",
            "blur_sigmas": _blur_sigmas(20.0),
            "alphas_cumprod": _alphas_cumprod(),
        }
    )
    use_generation(config)
    return with_variant(
        config, variant, cpu=_use_cpu, mnist=_use_mnist, smoke=_use_smoke
    )


def _blur_sigmas(largest: float) -> tuple[float, ...]:
    """Returns sin^2(pi t / (2 T)) times the largest width."""
    fractions = np.arange(1, T + 1) / T
    return tuple((largest * np.sin(np.pi / 2 * fractions) ** 2).tolist())


def _alphas_cumprod() -> tuple[float, ...]:
    """Returns cos^2 of angles with equal steps, those of the two signal-to-noise."""
    first, last = np.arctan(np.exp([-LOG_SNR / 2, LOG_SNR / 2]))
    angles = first + (last - first) * np.arange(1, T + 1) / T
    return tuple((np.cos(angles) ** 2).tolist())


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    use_two_cores_for_generation(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    config.degradation.blur_sigmas = _blur_sigmas(10.0)
    use_smoke(config)
