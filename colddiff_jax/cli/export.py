"""Exports a trained model as one file, to keep or to share.

    python -m colddiff_jax.cli.export --workdir=runs/flowers --out=flowers.safetensors

The file holds the averaged weights and the configuration, all that `load_run` needs.
It is a quarter of the size of a checkpoint, which also holds the optimizer state.
"""

import os

from absl import flags

from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.loading import load_run


def main() -> None:
    """Exports by the flags."""
    values = flags.FLAGS
    if os.path.isdir(values.out):
        raise InputError(f"`out` must name a file, and {values.out!r} is a folder")
    if not values.out.endswith(".safetensors"):
        raise InputError(f"`out` must end in .safetensors, got {values.out!r}")
    restorer = load_run(values.workdir, values.checkpoint)
    export_model(restorer, values.out)
    size = os.path.getsize(values.out) / 1e6
    print(f"{values.out}: step {restorer.step}, {size:,.1f} MB")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "", "run folder of train.py")
    flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
    flags.DEFINE_string("out", "", "file to write, such as model.safetensors")
    program.run(main, required=("workdir", "out"))
