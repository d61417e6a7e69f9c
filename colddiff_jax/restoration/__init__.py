"""Trained models, loaded without any data, and the images they restore."""

from colddiff_jax.restoration.load import Restorer, load_run

__all__ = ["Restorer", "load_run"]
