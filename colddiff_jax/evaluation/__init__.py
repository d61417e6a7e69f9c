"""Scores of trained models: the rows of the paper's tables, and more."""

from colddiff_jax.evaluation.evaluate import Evaluation, evaluate
from colddiff_jax.evaluation.evaluate_run import evaluate_run

__all__ = ["Evaluation", "evaluate", "evaluate_run"]
