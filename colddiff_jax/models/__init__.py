"""Restorers R(x_t, t) -> x0_hat in Flax linen."""

from colddiff_jax.models.adapters import from_functions
from colddiff_jax.models.convnext import ConvNeXtUNet
from colddiff_jax.models.initialization import initialize
from colddiff_jax.models.unet import UNet

__all__ = ["ConvNeXtUNet", "UNet", "from_functions", "initialize"]
