"""Trains a restorer.

python train.py --config=configs/cifar_blur.py
python train.py --config=configs/mnist_blur.py:cpu --workdir=runs/mnist
python train.py --config=configs/cifar_blur.py --config.training.batch_size=64

Running the same command again resumes where it stopped.
"""

import os

from absl import flags
from ml_collections import config_flags

from colddiff_jax import programs
from colddiff_jax.errors import InputError
from colddiff_jax.training import train_and_evaluate

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="configs/NAME.py[:VARIANT]"
)
_WORKDIR = flags.DEFINE_string("workdir", "", "run folder; default runs/NAME[-VARIANT]")


def main(argv: list[str]) -> None:
    """Trains by the flags."""
    if len(argv) > 1:
        raise InputError(f"unexpected argument {argv[1]!r}; options begin with --")
    if _CONFIG.value is None:
        raise InputError(
            "--config is missing; for instance --config=configs/digits_blur.py"
        )
    filename = config_flags.get_config_filename(flags.FLAGS["config"])
    path, _, variant = filename.partition(":")
    if not os.path.isfile(path):
        raise InputError(
            f"no configuration file {path!r}; configs/ holds those there are"
        )
    train_and_evaluate(_CONFIG.value, _WORKDIR.value or _default_workdir(path, variant))


def _default_workdir(path: str, variant: str) -> str:
    """runs/cifar_blur for configs/cifar_blur.py; a variant has a folder of its own."""
    name = os.path.basename(path).removesuffix(".py")
    return os.path.join("runs", f"{name}-{variant}" if variant else name)


if __name__ == "__main__":
    programs.run(main)
