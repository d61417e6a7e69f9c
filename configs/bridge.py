"""Restoring photographs after pairs, with noise between: I2SB, RDDM, IR-SDE, Resfusion.

PAIRS="--config.data.path=clean --config.endpoints.path=degraded"
python train.py --config=configs/bridge.py $PAIRS              I2SB, one GPU or TPU
python train.py --config=configs/bridge.py:cpu $PAIRS          I2SB, two CPU cores
python train.py --config=configs/bridge.py:digits              I2SB, minutes, digits
python train.py --config=configs/bridge.py:smoke    seconds, on bundled digits
python train.py --config=configs/bridge.py:rddm $PAIRS         RDDM
python train.py --config=configs/bridge.py:ir_sde $PAIRS       IR-SDE
python train.py --config=configs/bridge.py:resfusion $PAIRS    Resfusion
python sample.py --workdir=runs/bridge-cpu --sampler=ddim --eta=1
python sample.py --workdir=runs/bridge-cpu --photo=degraded.jpg --sampler=ddim --eta=1

Each of the four has the variants `_cpu`, `_digits` and `_smoke`, such as `:rddm_cpu`,
where I2SB has `:cpu`, `:digits` and `:smoke`. Pairs are those of photo_pairs.py; the
bundled digits are pixelated to 4 x 4.

x_t = a_t x_0 + b_t y + sigma_t z, where y is the degraded image; the noise z shrinks
by alpha_t / alpha_s from s to t. The four differ in a, b, sigma and alpha alone, and in
T: 100, or 5 for Resfusion; all but I2SB also give y to the network. It predicts x_0, by
the squared error.
--sampler=ddim --eta=1 are the posteriors of the papers; --eta=0 draws no noise on the
way.

Reference: not in the paper. Liu, Vahdat et al. (2023), arXiv:2302.05872; Liu, Wang et
al. (2024), arXiv:2308.13712; Luo et al. (2023), arXiv:2301.11699; Shi et al. (2023),
arXiv:2311.14900. See docs/family.md for what differs from them.
"""

from collections.abc import Callable

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


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(degradation=i2sb())
    use_photographs(config)
    config.endpoints.update({"source": "folder", "paired": True})
    config.loss = section("loss", name="l2")
    cpu = use_two_cores_for_photographs
    return with_variant(
        config,
        variant,
        cpu=cpu,
        digits=_use_digits,
        smoke=_use_smoke,
        rddm=_with(rddm),
        rddm_cpu=_with(rddm, cpu),
        rddm_digits=_with(rddm, _use_digits),
        rddm_smoke=_with(rddm, _use_smoke),
        ir_sde=_with(ir_sde),
        ir_sde_cpu=_with(ir_sde, cpu),
        ir_sde_digits=_with(ir_sde, _use_digits),
        ir_sde_smoke=_with(ir_sde, _use_smoke),
        resfusion=_with(resfusion),
        resfusion_cpu=_with(resfusion, cpu),
        resfusion_digits=_with(resfusion, _use_digits),
        resfusion_smoke=_with(resfusion, _use_smoke),
    )


def i2sb() -> dict:
    """A Brownian bridge; its variance grows the fastest in the middle."""
    half = np.linspace(0.1**0.5, 0.3**0.5, T)[: T // 2] ** 2 / T
    variances = np.concatenate([half, half[::-1]])
    total = variances.sum()
    share = np.minimum(np.cumsum(variances) / total, 1)
    share[-1] = 1
    return _bridge(1 - share, share, np.sqrt(total * share * (1 - share)), 1 - share)


def rddm() -> dict:
    """The residual y - x_0 grows fast at first, and the noise at last, up to 0.1."""
    tau = np.arange(1, T + 1) / T
    share = 1 - (1 - tau) ** 2
    return _bridge(1 - share, share, 0.1 * tau, np.ones(T))


def ir_sde() -> dict:
    """Reversion to y, up to 0.5 % of x_0, with noise of 10 levels of 255."""
    f = np.cos((np.arange(T + 3) / (T + 2) + 0.008) / 1.008 * np.pi / 2) ** 2
    theta = np.cumsum(1 - f[2:-1] / f[0])
    kept = 0.005 ** (theta / theta[-1])
    return _bridge(kept, 1 - kept, 20 / 255 * np.sqrt(1 - kept**2), kept)


def resfusion() -> dict:
    """Diffusion with the residual added, up to where x_0 cancels: 5 steps of 12."""
    betas = 1000 / 12 * np.linspace(1e-4, 0.02, 12)
    alphas_cumprod = np.cumprod(1 - betas)
    alphas_cumprod = np.append(alphas_cumprod[alphas_cumprod > 0.25], 0.25)
    root = np.sqrt(alphas_cumprod)
    return _bridge(2 * root - 1, 1 - root, np.sqrt(1 - alphas_cumprod), root)


def _bridge(a: np.ndarray, b: np.ndarray, sigma: np.ndarray, alpha: np.ndarray) -> dict:
    """Returns the fields of x_t = a_t x_0 + b_t y + sigma_t z."""
    return {
        "name": "blend",
        "endpoint": "image",
        "image_weights": tuple(a.tolist()),
        "endpoint_weights": tuple(b.tolist()),
        "noise_stds": tuple(sigma.tolist()),
        "noise_gains": tuple(alpha.tolist()),
    }


def _with(
    system: Callable[[], dict],
    size: Callable[[ml_collections.ConfigDict], None] | None = None,
) -> Callable[[ml_collections.ConfigDict], None]:
    """Returns the variant of a system, and of a size."""

    def use(config: ml_collections.ConfigDict) -> None:
        config.degradation = section("degradation", **system())
        config.model.see_endpoint = True
        if size is not None:
            size(config)

    return use


def _use_digits(config: ml_collections.ConfigDict) -> None:
    use_digits_for_generation(config)
    config.data.crop = False
    config.model.local = False
    config.endpoints.source = "coarse_digits"


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.update({"crop": False, "image_size": 16})
    use_smoke(config)
    config.endpoints.source = "coarse_digits"
