"""Generating images from blur with a little noise, by predicting x_0; T = 50.

FOLDER=--config.data.path=celeba
python train.py --config=configs/generate_heat.py $FOLDER          one GPU or TPU
python train.py --config=configs/generate_heat.py:cpu $FOLDER      64 x 64, two cores
python train.py --config=configs/generate_heat.py:mnist            MNIST, two cores
python train.py --config=configs/generate_heat.py:cifar            CIFAR-10, two cores
python train.py --config=configs/generate_heat.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/generate_heat --generate=64 --gif

The blur is that of the heat equation, and every x_t has noise of 0.02: x_T has a number
of its own in every pixel, as Gaussian noise has. Images begin with blurred training
images, of which 1,024 are kept.

The noise is estimated at every step; --sampler=ddim --eta=1 draws new noise.

MNIST and CIFAR-10 are prepared once with `python -m colddiff_jax.cli.prepare mnist`, or
read from a file with --config.data.source=npz --config.data.path=mnist.npz

Reference: not in the paper. The degradation is that of Rissanen et al. (2022), inverse
heat dissipation, arXiv:2206.13397, whose network predicts x_{t-1}.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
    use_generation,
    use_mnist,
    use_smoke,
    use_two_cores_for_generation,
)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "heat_blur",
            "blur_sigmas": {
                "name": "geometric",
                "num_steps": 50,
                "start": 0.5,
                "stop": 80.0,
            },
            "noise_stds": {"name": "constant", "num_steps": 50, "value": 0.02},
        }
    )
    use_generation(config)
    config.prior.images = 1024
    return with_variant(
        config,
        variant,
        cpu=_use_cpu,
        mnist=_use_mnist,
        cifar=_use_cifar,
        smoke=_use_smoke,
    )


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    config.degradation.blur_sigmas.stop = 40.0
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    config.degradation.blur_sigmas.stop = 20.0
    use_two_cores_for_generation(config)


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    config.degradation.blur_sigmas.stop = 20.0
    use_two_cores_for_generation(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    config.degradation.blur_sigmas.stop = 10.0
    use_smoke(config)
    config.model.precondition = True
