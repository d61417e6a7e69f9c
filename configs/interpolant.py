"""Restoring photographs after pairs by a velocity: stochastic interpolants; T = 100.

PAIRS="--config.data.path=clean --config.endpoints.path=degraded"
python train.py --config=configs/interpolant.py $PAIRS        one GPU or TPU
python train.py --config=configs/interpolant.py:cpu $PAIRS    two CPU cores
python train.py --config=configs/interpolant.py:digits        minutes, on digits
python train.py --config=configs/interpolant.py:smoke    seconds, on bundled digits
python sample.py --workdir=runs/interpolant-cpu --sampler=ddim --eta=1
python sample.py --workdir=runs/interpolant-cpu --photo=degraded.jpg --sampler=ddim

x_t = (1 - t / T) x_0 + (t / T) (y + 0.1 e), where y is the degraded image and e noise.
The network sees y, and predicts the velocity y + 0.1 e - x_0 by the squared error.
--sampler=ddim is Euler's method for the ordinary differential equation, and --eta=1
the stochastic one. Pairs are those of photo_pairs.py; the bundled digits are pixelated
to 4 x 4.

Reference: not in the paper. Albergo, Goldstein et al. (2023), "Stochastic interpolants
with data-dependent couplings", arXiv:2310.03725. See docs/family.md.
"""

import ml_collections
import numpy as np

from colddiff_jax.training.config import default_config, section, with_variant
from colddiff_jax.training.presets import (
    use_digits_for_generation,
    use_photographs,
    use_smoke,
    use_two_cores_for_photographs,
)

T = 100
NOISE = 0.1


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    tau = np.arange(1, T + 1) / T
    config = default_config(
        degradation={
            "name": "blend",
            "endpoint": "image",
            "image_weights": tuple((1 - tau).tolist()),
            "endpoint_weights": tuple(tau.tolist()),
            "noise_stds": tuple((NOISE * tau).tolist()),
            "noise_gains": tuple((1 - tau).tolist()),
        }
    )
    use_photographs(config)
    config.endpoints.update({"source": "folder", "paired": True})
    config.loss = section("loss", name="l2")
    # With these weights, the error of x_0 is that of the velocity.
    config.objective = section(
        "objective", weights={"name": "power", "num_steps": T, "exponent": -2}
    )
    config.model.update({"see_endpoint": True, "precondition": "velocity"})
    return with_variant(
        config,
        variant,
        cpu=use_two_cores_for_photographs,
        digits=_use_digits,
        smoke=_use_smoke,
    )


def _use_digits(config: ml_collections.ConfigDict) -> None:
    use_digits_for_generation(config)
    config.data.crop = False
    config.model.update({"local": False, "precondition": "velocity"})
    config.endpoints.source = "coarse_digits"


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.update({"crop": False, "image_size": 16})
    use_smoke(config)
    config.model.precondition = "velocity"
    config.endpoints.source = "coarse_digits"
