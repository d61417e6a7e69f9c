"""Programs: `python -m colddiff_jax.cli.NAME`, and what all programs share."""
