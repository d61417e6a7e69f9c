"""Generating images from Gaussian noise by a linear blend, rectified flow; T = 200.

FOLDER=--config.data.path=celeba
python train.py --config=configs/generate_flow.py $FOLDER          one GPU or TPU
python train.py --config=configs/generate_flow.py:cpu $FOLDER      64 x 64, two cores
python train.py --config=configs/generate_flow.py:mnist            MNIST, two cores
python train.py --config=configs/generate_flow.py:cifar            CIFAR-10, two cores
python train.py --config=configs/generate_flow.py:velocity    MNIST, a velocity learned
python train.py --config=configs/generate_flow.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/generate_flow --generate=64 --steps=50 --gif

x_t = (1 - t / T) x_0 + (t / T) z. The noise z is estimated at every step, which is
Euler's method for the velocity z - x_0. The network predicts x_0 by the squared error
of images, as all networks here do; flow matching weighs that by (T / t)^2. In
`velocity`, it predicts z - x_0 by its squared error, and steps in the middle are drawn
more often: the training of rectified flow and of Stable Diffusion 3.

MNIST and CIFAR-10 are prepared once with `python -m colddiff_jax.cli.prepare mnist`, or
read from a file with --config.data.source=npz --config.data.path=mnist.npz

Reference: not in the paper. Liu, Gong, Liu (2022), "Flow straight and fast",
arXiv:2209.03003; Heitz, Belcour, Chambon (2023), arXiv:2305.03486; Esser et al. (2024),
arXiv:2403.03206, whose `logit_normal` steps are those of `velocity`.
"""

import ml_collections

from colddiff_jax.training.config import default_config, section, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
    use_generation,
    use_mnist,
    use_smoke,
    use_two_cores_for_generation,
)

T = 200


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
        }
    )
    use_generation(config)
    return with_variant(
        config,
        variant,
        cpu=_use_cpu,
        mnist=_use_mnist,
        cifar=_use_cifar,
        velocity=_use_velocity,
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


def _use_velocity(config: ml_collections.ConfigDict) -> None:
    _use_mnist(config)
    config.model.precondition = "velocity"
    config.objective = section(
        "objective",
        weights={"name": "power", "num_steps": T, "exponent": -2},
        frequencies={"name": "logit_normal", "num_steps": T},
    )


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    use_smoke(config)
