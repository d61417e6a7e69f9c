"""Metrics that compare images with others, one by one or as sets."""

from colddiff_jax.feature_nets.features import FeatureNet, Features
from colddiff_jax.metrics.distances import (
    Moments,
    MomentsAccumulator,
    frechet_distance,
    kernel_distance,
)
from colddiff_jax.metrics.inception_score import inception_score
from colddiff_jax.metrics.neighbours import (
    NearestImages,
    PrecisionRecall,
    copied_share,
    nearest_images,
    precision_recall,
)
from colddiff_jax.metrics.pixel import mean_squared_error, ms_ssim, psnr, ssim

__all__ = [
    "FeatureNet",
    "Features",
    "Moments",
    "MomentsAccumulator",
    "NearestImages",
    "PrecisionRecall",
    "copied_share",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mean_squared_error",
    "ms_ssim",
    "nearest_images",
    "precision_recall",
    "psnr",
    "ssim",
]
