"""The former place of `colddiff_jax.restoration.load_run`, kept for existing code."""

from colddiff_jax.restoration import load_run

__all__ = ["load_run"]
