"""Generating images from one random colour each, from the middle outwards; T = 750.

FOLDER=--config.data.path=celeba
python train.py --config=configs/generate_color.py $FOLDER          one GPU or TPU
python train.py --config=configs/generate_color.py:paper $FOLDER    published settings
python train.py --config=configs/generate_color.py:cpu $FOLDER      64 x 64, two cores
python train.py --config=configs/generate_color.py:mnist            MNIST, two cores
python train.py --config=configs/generate_color.py:cifar            CIFAR-10, two cores
python train.py --config=configs/generate_color.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/generate_color --generate=64 --gif

Training fades each image to a colour that is drawn for it, from the border inwards.
Images begin with such a colour, which is kept while the image grows out of it.

MNIST and CIFAR-10 are prepared once with `python -m colddiff_jax.cli.prepare mnist`, or
read from a file with --config.data.source=npz --config.data.path=mnist.npz

Reference: Bansal et al. (2022), section 5.3; `defading-generation-diffusion-pytorch` in
the official code. `paper` has its schedule, network, optimizer, average, loss and
number of steps.
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
            "name": "fade_to_color",
            "stds": {
                "name": "linear",
                "num_steps": 750,
                "start": 0.05,
                "increment": 0.05,
            },
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
        smoke=_use_smoke,
    )


def _use_steps(config: ml_collections.ConfigDict, num_steps: int) -> None:
    """Sets fewer, larger steps to a mask of the same width relative to the image."""
    widest = 750 * 0.05 * config.data.image_size / 128
    step = widest / num_steps
    config.degradation.stds.update(
        {"num_steps": num_steps, "start": step, "increment": step}
    )


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    _use_steps(config, 100)
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    _use_steps(config, 50)
    use_two_cores_for_generation(config)


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    _use_steps(config, 50)
    use_two_cores_for_generation(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    use_smoke(config)
