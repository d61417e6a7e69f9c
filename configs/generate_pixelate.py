"""Generating images from a few pixels each: 2 x 2 become 128 x 128; T = 22.

FOLDER=--config.data.path=celeba
python train.py --config=configs/generate_pixelate.py $FOLDER          GPU or TPU
python train.py --config=configs/generate_pixelate.py:paper $FOLDER    published
python train.py --config=configs/generate_pixelate.py:cpu $FOLDER      64 x 64, 2 cores
python train.py --config=configs/generate_pixelate.py:mnist            MNIST, 2 cores
python train.py --config=configs/generate_pixelate.py:cifar            CIFAR-10, 2 cores
python train.py --config=configs/generate_pixelate.py:digits    minutes, bundled digits
python train.py --config=configs/generate_pixelate.py:smoke    seconds, on digits
python sample.py --workdir=runs/generate_pixelate --generate=64 --gif

Images begin with pixels drawn from a Gaussian mixture with full covariances, fitted to
the pixelated training images: 2 x 2 pixels, and 4 x 4 for `mnist` and `cifar`. That is
more to draw than the one colour of `generate_blur`, and images differ more.

MNIST and CIFAR-10 are prepared once with `python -m colddiff_jax.cli.prepare mnist`, or
read from a file with --config.data.source=npz --config.data.path=mnist.npz

Reference: Bansal et al. (2022), section 5.2. `paper` halves the side six times, and has
the network, optimizer, average, loss and number of steps of the official code.
"""

import ml_collections

from colddiff_jax.training.config import default_config, section, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
    use_digits_for_generation,
    use_generation,
    use_mnist,
    use_published_generation,
    use_smoke,
    use_two_cores_for_generation,
)

# Smaller by a fifth or less per step, and a half every four steps.
_SIZES = (112, 96, 80, 64, 56, 48, 40, 32, 28, 24, 20, 16, 14, 12, 10, 8, 7, 6, 5, 4)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={"name": "pixelate", "sizes": (*_SIZES, 3, 2), "method": "area"}
    )
    use_generation(config)
    config.prior.update({"block": 2, "components": 10})
    return with_variant(
        config,
        variant,
        paper=_use_paper,
        cpu=_use_cpu,
        mnist=_use_mnist,
        cifar=_use_cifar,
        digits=_use_digits,
        smoke=_use_smoke,
    )


def _use_paper(config: ml_collections.ConfigDict) -> None:
    config.degradation = section(
        "degradation",
        name="pixelate",
        sizes={"name": "halving", "num_steps": 6},
        method="bicubic",
    )
    config.prior.components = 1
    use_published_generation(config)


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    config.degradation.sizes = (*(s for s in _SIZES if s < 64), 3, 2)
    use_two_cores_for_generation(config)


def _use_4_x_4(config: ml_collections.ConfigDict, largest: int) -> None:
    config.degradation.sizes = tuple(size for size in _SIZES if size < largest)
    config.prior.block = 4


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    _use_4_x_4(config, 32)
    use_two_cores_for_generation(config)


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    _use_4_x_4(config, 32)
    use_two_cores_for_generation(config)


def _use_digits(config: ml_collections.ConfigDict) -> None:
    use_digits_for_generation(config)
    _use_4_x_4(config, 16)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    _use_4_x_4(config, 16)
    config.prior.components = 2
    use_smoke(config)
