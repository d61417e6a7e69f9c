"""Restorers R(x_t, t) -> x0_hat in Flax linen."""

from colddiff_jax.models.convnext import ConvNeXtUNet
from colddiff_jax.models.unet import UNet

__all__ = ["ConvNeXtUNet", "UNet"]
