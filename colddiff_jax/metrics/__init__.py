"""How close restored images come to the clean ones."""

from colddiff_jax.metrics.pixel import mean_squared_error, ssim

__all__ = ["mean_squared_error", "ssim"]
