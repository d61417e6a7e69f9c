"""Converts the authors' PyTorch checkpoints to runs of this library.

    python -m colddiff_jax.cli.convert --checkpoint=model.pt --workdir=runs/official
        --config=configs/mnist_blur.py:paper

(one line) makes a run folder for `sample.py` and `evaluate.py` from a checkpoint of any
folder of the official code. The configuration must describe the degradation and the
network that the checkpoint was trained with; the weights must fit the network exactly.
"""

from absl import flags

from colddiff_jax.cli import program
from colddiff_jax.training.official_checkpoint import convert_checkpoint


def main() -> None:
    """Converts by the flags."""
    values = flags.FLAGS
    step = convert_checkpoint(values.checkpoint, values.config.fields, values.workdir)
    print(f"{values.workdir}: step {step}; python sample.py --workdir={values.workdir}")


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "", ".pt file of the official code")
    flags.DEFINE_string("workdir", "", "run folder to create")
    program.define_config()
    program.run(main, required=("checkpoint", "config", "workdir"))
