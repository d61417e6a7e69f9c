"""Training: the loop, its state, its step and its devices."""

from colddiff_jax.training.loop import train_and_evaluate
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.step import make_train_step

__all__ = ["TrainState", "make_train_step", "train_and_evaluate"]
