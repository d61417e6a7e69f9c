"""PyTorch's side of every comparison, or None where PyTorch is not installed."""

import importlib.util

if importlib.util.find_spec("torch"):
    from benchmarks.suite import theirs
else:
    theirs = None  # type: ignore[assignment]
