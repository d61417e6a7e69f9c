"""Degradations: pure functions of (x, t), built by the factories below."""

from colddiff_jax.degradations.base import Degradation
from colddiff_jax.degradations.binary_mask import RankMask, rank_mask, spiral_ranks
from colddiff_jax.degradations.blending import Blend
from colddiff_jax.degradations.blends import (
    animorph,
    blend,
    fade_to_color,
    gaussian_noise,
)
from colddiff_jax.degradations.blur import HeatBlur, gaussian_blur, heat_blur
from colddiff_jax.degradations.desaturation import Shrinkage, desaturate, fade
from colddiff_jax.degradations.function import FunctionDegradation, from_function
from colddiff_jax.degradations.hole_masks import Holes, holes
from colddiff_jax.degradations.jpeg import JpegLike, jpeg_like
from colddiff_jax.degradations.mask import Mask, RandomMask, gaussian_mask
from colddiff_jax.degradations.motion import MotionBlur, motion_blur
from colddiff_jax.degradations.noise import Noisy, noisy
from colddiff_jax.degradations.pixelation import pixelate
from colddiff_jax.degradations.separable import Separable
from colddiff_jax.degradations.snowfall import Snow, snow
from colddiff_jax.degradations.spectral_noise import BlurAndNoise, blur_and_noise
from colddiff_jax.degradations.wrappers import (
    Composition,
    Quantized,
    compose,
    quantize,
)

__all__ = [
    "Blend",
    "BlurAndNoise",
    "Composition",
    "Degradation",
    "FunctionDegradation",
    "HeatBlur",
    "Holes",
    "JpegLike",
    "Mask",
    "MotionBlur",
    "Noisy",
    "Quantized",
    "RandomMask",
    "RankMask",
    "Separable",
    "Shrinkage",
    "Snow",
    "animorph",
    "blend",
    "blur_and_noise",
    "compose",
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
    "motion_blur",
    "noisy",
    "pixelate",
    "quantize",
    "rank_mask",
    "snow",
    "spiral_ranks",
]
