"""Scores of trained models: the rows of the paper's tables, and more."""

from colddiff_jax.evaluation.evaluate import Evaluation, evaluate
from colddiff_jax.evaluation.evaluate_run import evaluate_run
from colddiff_jax.evaluation.generated import GeneratedEvaluation, evaluate_generated
from colddiff_jax.evaluation.generated_run import evaluate_generated_run

__all__ = [
    "Evaluation",
    "GeneratedEvaluation",
    "evaluate",
    "evaluate_generated",
    "evaluate_generated_run",
    "evaluate_run",
]
