"""How close restored images come to the clean ones, alone and as sets."""

from colddiff_jax.metrics.features import FeatureNet, Features
from colddiff_jax.metrics.pixel import mean_squared_error, ms_ssim, psnr, ssim

__all__ = [
    "FeatureNet",
    "Features",
    "mean_squared_error",
    "ms_ssim",
    "psnr",
    "ssim",
]
