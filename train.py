"""Trains a restorer.

python train.py --config=configs/cifar_blur.py
python train.py --config=configs/mnist_blur.py:cpu --workdir=runs/mnist
python train.py --config=configs/cifar_blur.py --config.training.batch_size=64

Running the same command again resumes where it stopped. To train on several machines,
run it on each, with the same --workdir on a file system that they share, and with
--distributed on a cluster that JAX knows (TPU pods, Slurm, Open MPI, Kubernetes), or
anywhere with --coordinator=HOST:PORT --num_processes=P --process_id=p.
"""

import os

from absl import flags
from ml_collections import config_flags

from colddiff_jax import processes, programs
from colddiff_jax.errors import InputError
from colddiff_jax.training import train_and_evaluate

_CONFIG = config_flags.DEFINE_config_file(
    "config", help_string="configs/NAME.py[:VARIANT]"
)
_WORKDIR = flags.DEFINE_string("workdir", "", "run folder; default runs/NAME[-VARIANT]")
_FORCE = flags.DEFINE_bool(
    "force", False, "go on in a run folder of another configuration or other images"
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "one of several processes, as the cluster says"
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT at which process 0 is reached by the others"
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "how many processes train together"
)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0")


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
    if _DISTRIBUTED.value or _COORDINATOR.value is not None:
        processes.initialize(
            _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
        )
    elif _NUM_PROCESSES.value is not None or _PROCESS_ID.value is not None:
        raise InputError("--num_processes and --process_id need --coordinator, too")
    workdir = _WORKDIR.value or _default_workdir(path, variant)
    train_and_evaluate(_CONFIG.value, workdir, force=_FORCE.value)


def _default_workdir(path: str, variant: str) -> str:
    """runs/cifar_blur for configs/cifar_blur.py; a variant has a folder of its own."""
    name = os.path.basename(path).removesuffix(".py")
    return os.path.join("runs", f"{name}-{variant}" if variant else name)


if __name__ == "__main__":
    programs.run(main)
