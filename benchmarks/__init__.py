"""Benchmarks of colddiff_jax; each runs as `python -m benchmarks.NAME`."""
