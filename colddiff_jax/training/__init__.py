"""Training: the loop, its state, its step and its configuration."""

from colddiff_jax.training.config import get_config
from colddiff_jax.training.loop import train_and_evaluate
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.step import make_train_step
from colddiff_jax.training.trained import Trained

__all__ = [
    "TrainState",
    "Trained",
    "get_config",
    "make_train_step",
    "train_and_evaluate",
]
