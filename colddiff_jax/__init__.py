"""Cold Diffusion in JAX: restoring and generating images without noise.

    x_t     = D(x_0, t)                          a degradation, t = 0 ... T
    x0_hat  = R(x_t, t)                          a network trained to undo it
    Alg. 1:   x_s = D(x0_hat, s)
    Alg. 2:   x_s = x_t - D(x0_hat, t) + D(x0_hat, s)

`load`, `load_run` and `Restorer` are imported when they are first used, since they need
Pillow; so are `get_config` and `train_and_evaluate`, since training alone needs Orbax,
Grain and TensorFlow Datasets.

Reference:
    Bansal et al., "Cold Diffusion: Inverting Arbitrary Image Transforms Without Noise",
    NeurIPS 2023, arXiv:2208.09392.
"""

import importlib
from typing import TYPE_CHECKING, Any

from colddiff_jax import degradations, losses, metrics, models, sampling, schedules
from colddiff_jax.checks import InputError
from colddiff_jax.degradations import (
    Degradation,
    animorph,
    blend,
    blur_and_noise,
    compose,
    desaturate,
    fade,
    fade_to_color,
    from_function,
    gaussian_blur,
    gaussian_mask,
    gaussian_noise,
    heat_blur,
    holes,
    jpeg_like,
    motion_blur,
    noisy,
    pixelate,
    quantize,
    rank_mask,
    snow,
    spiral_ranks,
)
from colddiff_jax.io.images import to_float, to_uint8
from colddiff_jax.losses import restoration_loss
from colddiff_jax.models import ConvNeXtUNet, UNet
from colddiff_jax.sampling import (
    SampleResult,
    restore_direct,
    sample_ab2,
    sample_alg1,
    sample_alg2,
    sample_ddim,
    sample_heun,
    sample_ihd,
    sample_momentum,
)

if TYPE_CHECKING:
    from colddiff_jax.restoration import Restorer, load, load_run
    from colddiff_jax.training import get_config, train_and_evaluate

__version__ = "0.1.0"

__all__ = [
    "ConvNeXtUNet",
    "Degradation",
    "InputError",
    "Restorer",
    "SampleResult",
    "UNet",
    "animorph",
    "blend",
    "blur_and_noise",
    "compose",
    "degradations",
    "desaturate",
    "fade",
    "fade_to_color",
    "from_function",
    "gaussian_blur",
    "gaussian_mask",
    "gaussian_noise",
    "get_config",
    "heat_blur",
    "holes",
    "jpeg_like",
    "load",
    "load_run",
    "losses",
    "metrics",
    "models",
    "motion_blur",
    "noisy",
    "pixelate",
    "quantize",
    "rank_mask",
    "restoration_loss",
    "restore_direct",
    "sample_ab2",
    "sample_alg1",
    "sample_alg2",
    "sample_ddim",
    "sample_heun",
    "sample_ihd",
    "sample_momentum",
    "sampling",
    "schedules",
    "snow",
    "spiral_ranks",
    "to_float",
    "to_uint8",
    "train_and_evaluate",
]
_LAZY = {
    "Restorer": "restoration",
    "load": "restoration",
    "load_run": "restoration",
    "get_config": "training",
    "train_and_evaluate": "training",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
