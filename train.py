"""Trains a restorer.

python train.py --config=configs/cifar_blur.py
python train.py --config=configs/mnist_blur.py:cpu --workdir=runs/mnist
python train.py --config=configs/cifar_blur.py --config.training.batch_size=64
python train.py --list                                lists the configurations
python train.py --config=configs/cifar_blur.py --help explains one and its fields

The same command resumes a run that was stopped. To train on several machines, run it on
each of them with the same --workdir, on a shared file system. On a cluster that JAX
detects (TPU pods, Slurm, Open MPI, Kubernetes), add --distributed; anywhere else, add
--coordinator=HOST:PORT --num_processes=P --process_id=p.
"""

import os

from absl import flags

from colddiff_jax import distributed
from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.cli.config_help import list_configs
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.config_files import split_name

_CONFIG = program.define_config()
_WORKDIR = flags.DEFINE_string("workdir", "", "run folder; default runs/NAME[-VARIANT]")
_LIST = flags.DEFINE_bool("list", False, "list the configurations and stop")
_FORCE = flags.DEFINE_bool(
    "force", False, "continue in a run folder of another configuration or other images"
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "this is one of the processes of a cluster"
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT at which process 0 is reached"
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "number of processes that train together"
)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "the index of this process")


def main() -> None:
    """Trains as the flags specify."""
    if _LIST.value:
        print(list_configs())
        return
    if _CONFIG.value is None:
        raise InputError(
            "--config is missing; give, for example, --config=configs/digits_blur.py; "
            "--list shows all"
        )
    if _DISTRIBUTED.value or _COORDINATOR.value is not None:
        distributed.initialize(
            _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
        )
    elif _NUM_PROCESSES.value is not None or _PROCESS_ID.value is not None:
        raise InputError("--num_processes and --process_id also need --coordinator")
    # runs/cifar_blur for configs/cifar_blur.py; every variant has its own folder.
    path, variant = split_name(_CONFIG.value.name)
    name = os.path.basename(path).removesuffix(".py")
    workdir = os.path.join("runs", f"{name}-{variant}" if variant else name)
    fields = _CONFIG.value.fields
    train_and_evaluate(fields, _WORKDIR.value or workdir, force=_FORCE.value)


if __name__ == "__main__":
    program.run(main)
