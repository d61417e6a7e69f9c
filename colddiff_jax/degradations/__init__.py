"""Degradations: pure functions of (x, t), made by the factories below."""

from colddiff_jax.degradations.base import Degradation
from colddiff_jax.degradations.blur import GaussianBlur, gaussian_blur
from colddiff_jax.degradations.function import FunctionDegradation, from_function
from colddiff_jax.degradations.mask import Mask, RandomMask, gaussian_mask

__all__ = [
    "Degradation",
    "FunctionDegradation",
    "GaussianBlur",
    "Mask",
    "RandomMask",
    "from_function",
    "gaussian_blur",
    "gaussian_mask",
]
