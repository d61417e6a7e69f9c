"""Generating images from Gaussian noise: the hot baseline; T = 200.

FOLDER=--config.data.path=celeba
python train.py --config=configs/generate_noise.py $FOLDER          one GPU or TPU
python train.py --config=configs/generate_noise.py:paper $FOLDER    published settings
python train.py --config=configs/generate_noise.py:cpu $FOLDER      64 x 64, two cores
python train.py --config=configs/generate_noise.py:mnist            MNIST, two cores
python train.py --config=configs/generate_noise.py:cifar            CIFAR-10, two cores
python train.py --config=configs/generate_noise.py:digits    minutes, bundled digits
python train.py --config=configs/generate_noise.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/generate_noise --generate=64 --steps=50 --gif

The noise is estimated at every step, as in DDIM. --endpoint=fixed keeps the noise that
an image began with, which the paper compares; --sampler=ddim --eta=1 draws new noise at
every step, as DDPM does.

MNIST and CIFAR-10 are prepared once with `python -m colddiff_jax.cli.prepare mnist`, or
read from a file with --config.data.source=npz --config.data.path=mnist.npz

Reference: Bansal et al. (2022), section 5; `denoising-diffusion-pytorch` in the
official code. `paper` has its schedule, network, optimizer, average, loss and number of
steps.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
    use_digits_for_generation,
    use_generation,
    use_mnist,
    use_published_generation,
    use_smoke,
    use_two_cores_for_generation,
)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "gaussian_noise",
            "alphas_cumprod": {"name": "cosine", "num_steps": 200},
        }
    )
    use_generation(config)
    return with_variant(
        config,
        variant,
        paper=use_published_generation,
        cpu=_use_cpu,
        mnist=_use_mnist,
        cifar=_use_cifar,
        digits=use_digits_for_generation,
        smoke=_use_smoke,
    )


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    use_two_cores_for_generation(config)


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    use_two_cores_for_generation(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    use_smoke(config)
