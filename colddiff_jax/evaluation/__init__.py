"""Scores of trained runs: the rows of the paper's tables, and more."""
