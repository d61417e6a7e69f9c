"""Cold Diffusion in JAX: restoring and generating images without noise.

    x_t     = D(x_0, t)                          a degradation, t = 0 ... T
    x0_hat  = R(x_t, t)                          a network trained to undo it
    Alg. 1:   x_s = D(x0_hat, s)
    Alg. 2:   x_s = x_t - D(x0_hat, t) + D(x0_hat, s)

`load` and `Restorer` are imported when they are first used, since they need Pillow.
Training is imported by name, `from colddiff_jax.training import train_and_evaluate`,
since it alone needs Orbax, Grain and TensorFlow Datasets.

Reference:
    Bansal et al., "Cold Diffusion: Inverting Arbitrary Image Transforms Without Noise",
    NeurIPS 2023, arXiv:2208.09392.
"""

from typing import TYPE_CHECKING, Any

from colddiff_jax import degradations, losses, metrics, models, sampling, schedules
from colddiff_jax.checks import InputError
from colddiff_jax.degradations import (
    Degradation,
    animorph,
    blend,
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
    from colddiff_jax.restoration import Restorer, load

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
    "compose",
    "degradations",
    "desaturate",
    "fade",
    "fade_to_color",
    "from_function",
    "gaussian_blur",
    "gaussian_mask",
    "gaussian_noise",
    "heat_blur",
    "holes",
    "jpeg_like",
    "load",
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
]


def __getattr__(name: str) -> Any:
    if name in ("Restorer", "load"):
        from colddiff_jax import restoration

        return getattr(restoration, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
