"""Programs, run as `python -m colddiff_jax.cli.NAME`, and their shared code."""
