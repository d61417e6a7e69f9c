"""Inverse heat dissipation on MNIST: blur and a little noise, T = 50.

python train.py --config=configs/generate_ihd.py          one GPU or TPU
python train.py --config=configs/generate_ihd.py:mnist    a small network, two cores
python train.py --config=configs/generate_ihd.py:cifar    CIFAR-10, two CPU cores
python train.py --config=configs/generate_ihd.py:smoke    seconds, on bundled digits

The network predicts the image of the step before, without its noise, and not the clean
image; only the sampler ihd takes such predictions. The default settings have not been
trained to the end.

Images come as in `configs/mnist_blur.py`, 32 x 32. The heat equation blurs them by 0.5
to 20 pixels, in equal ratios, and noise of 0.02 is added (0.01 for images in [0, 1]).
The published network adds its output to x_t; this one is preconditioned, and starts
near x_t as well. Otherwise the published run had T = 100, images of 28 x 28, another
U-Net, a loss summed over pixels, and 1.3 million steps of 128 images.

Reference: Rissanen, Heinonen, Solin (2022), arXiv:2206.13397, and its official code.
"""

import ml_collections

from colddiff_jax.training.config import default_config, section, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
    use_mnist,
    use_smoke,
    use_two_cores_for_generation,
)

T = 50


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "heat_blur",
            "blur_sigmas": {
                "name": "geometric",
                "num_steps": T,
                "start": 0.5,
                "stop": 20.0,
            },
            "noise_stds": T * (0.02,),
        }
    )
    use_mnist(config)
    config.model.update({"base_channels": 64, "dropout": 0.0, "precondition": True})
    config.objective.target = "previous"
    config.loss = section("loss", name="l2")
    config.optimizer.update(
        {"learning_rate": 2e-4, "warmup_steps": 5000, "clip_norm": 1.0}
    )
    config.ema.decay = 0.999
    config.prior.images = 1024
    return with_variant(
        config,
        variant,
        mnist=use_two_cores_for_generation,
        cifar=_use_cifar,
        smoke=use_smoke,
    )


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    config.data.flip = True
    use_two_cores_for_generation(config)
