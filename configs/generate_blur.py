"""Generating images from one colour each, by deblurring; T = 300, 128 x 128 pixels.

FOLDER=--config.data.path=celeba
python train.py --config=configs/generate_blur.py $FOLDER          one GPU or TPU
python train.py --config=configs/generate_blur.py:paper $FOLDER    published settings
python train.py --config=configs/generate_blur.py:cpu $FOLDER      64 x 64, two cores
python train.py --config=configs/generate_blur.py:mnist            MNIST, two cores
python train.py --config=configs/generate_blur.py:cifar            CIFAR-10, two cores
python train.py --config=configs/generate_blur.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/generate_blur --generate=64 --gif

The last step replaces the image by its mean colour. A Gaussian is fitted to the mean
colours of the training images; images begin with a draw from it and, since a network
treats equal pixels alike, with noise of 0.002 ("broken symmetry"; --prior_noise=0 is
"perfect symmetry"). With one number per channel to draw, images differ little.

MNIST and CIFAR-10 are prepared once with `python -m colddiff_jax.cli.prepare mnist`, or
read from a file with --config.data.source=npz --config.data.path=mnist.npz

Reference: Bansal et al. (2022), section 5.2, on CelebA and AFHQ. `paper` has its
schedule, network, optimizer, average, loss and number of steps. The published runs also
rounded x_t to 8 bits in training.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
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
            "name": "gaussian_blur",
            "stds": {"name": "exponential", "num_steps": 300, "rate": 0.01},
            "kernel_size": 27,
            "to_mean": True,
        }
    )
    use_generation(config)
    config.prior.update({"block": 1, "noise_std": 0.002})
    return with_variant(
        config,
        variant,
        paper=use_published_generation,
        cpu=_use_cpu,
        mnist=_use_mnist,
        cifar=_use_cifar,
        smoke=_use_smoke,
    )


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    config.degradation.stds.update({"num_steps": 100, "rate": 0.03})
    use_two_cores_for_generation(config)


def _use_32(config: ml_collections.ConfigDict) -> None:
    # The total blur of 50 steps is 38 pixels wide.
    config.degradation.stds.update({"num_steps": 50, "rate": 0.05})
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    _use_32(config)


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    _use_32(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    config.degradation.kernel_size = 5
    use_smoke(config)
