"""Soft Diffusion: blur with growing noise, and a loss seen through the blur; T = 50.

FOLDER=--config.data.path=celeba
python train.py --config=configs/soft_diffusion.py $FOLDER          one GPU or TPU
python train.py --config=configs/soft_diffusion.py:cpu $FOLDER      64 x 64, two cores
python train.py --config=configs/soft_diffusion.py:mnist            MNIST, two cores
python train.py --config=configs/soft_diffusion.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/soft_diffusion --generate=64 --sampler=ddim --eta=1

The network predicts x_0, and is trained by the error that the blur leaves of it,
(D(x0_hat, t) - D(x_0, t))^2 / sigma_t^2: it need not guess what x_t does not show. Up
to a constant, that is sigma_t^2 times the error of the score (D(x0_hat, t) - x_t) /
sigma_t^2. The sampler ddim with eta = 1 is the momentum sampler.

The blur of the heat equation grows from 0.5 pixels on and the noise from 0.02 to 0.2,
in equal ratios. The paper chooses both by a distance between the images of two steps.

Reference: Daras, Delbracio, Talebi, Dimakis, Milanfar (2022), "Soft Diffusion",
arXiv:2209.05442.
"""

import ml_collections

from colddiff_jax import schedules
from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_generation,
    use_mnist,
    use_smoke,
    use_two_cores_for_generation,
)

T = 50
NOISE_STDS = (0.02, 0.2)  # At the first and the last step.


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    low, high = NOISE_STDS
    config = default_config(
        degradation={
            "name": "heat_blur",
            "blur_sigmas": _geometric(0.5, 80.0),
            "noise_stds": _geometric(low, high),
        }
    )
    use_generation(config)
    config.objective.compare = "degraded"
    weights = schedules.geometric(T, start=(high / low) ** 2, stop=1.0)
    config.objective.weights = tuple(weights.tolist())
    config.prior.images = 1024
    return with_variant(
        config, variant, cpu=_use_cpu, mnist=_use_mnist, smoke=_use_smoke
    )


def _geometric(start: float, stop: float) -> dict[str, object]:
    return {"name": "geometric", "num_steps": T, "start": start, "stop": stop}


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    config.degradation.blur_sigmas.stop = 40.0
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    config.degradation.blur_sigmas.stop = 20.0
    use_two_cores_for_generation(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    config.degradation.blur_sigmas.stop = 10.0
    use_smoke(config)
    config.model.precondition = True
