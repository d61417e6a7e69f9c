"""The same work in PyTorch, as the official code does it and in its fastest form."""

from benchmarks.suite.theirs import (
    degrading,
    evaluating,
    loading,
    networks,
    sampling,
    training,
)
from benchmarks.suite.theirs.tensors import to_images, to_steps, to_tensor
from benchmarks.suite.theirs.threads import with_threads

__all__ = [
    "degrading",
    "evaluating",
    "loading",
    "networks",
    "sampling",
    "to_images",
    "to_steps",
    "to_tensor",
    "training",
    "with_threads",
]
