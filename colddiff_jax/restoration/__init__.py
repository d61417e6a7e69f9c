"""Trained models, loaded without any data, and the images they restore."""

from colddiff_jax.restoration.loading import load, load_run
from colddiff_jax.restoration.restorer import Restorer

__all__ = ["Restorer", "load", "load_run"]
