"""Makes one file of a trained run, to keep or to give away.

    python -m colddiff_jax.export --workdir=runs/digits_blur --out=digits.safetensors

The file has the averaged weights and the configuration: everything that `sample.py`,
`evaluate.py` and `load_run` need of a run, but for the images. It is a quarter of a
checkpoint, which also holds what training goes on with.
"""

import os

from absl import flags

from colddiff_jax import programs
from colddiff_jax.errors import InputError
from colddiff_jax.model_file import write_model
from colddiff_jax.runs import Run, load_run
from colddiff_jax.training.run_folder import describe


def export_model(run: Run, path: str) -> None:
    """Writes the model of a run as one file.

    Args:
        run: from `load_run`.
        path: of the file to write; its name should end in `.safetensors`.

    Raises:
        InputError: the disk refuses.

    Example:
        >>> export_model(load_run("runs/digits_blur", "best"), "digits.safetensors")
        >>> load_run("digits.safetensors").step
        1500
    """
    experiment = run.experiment
    about = describe(run.config, run.trained_on, experiment.scales)
    about |= {"step": run.step, "channels": experiment.image_shape[-1]}
    write_model(path, about, run.params)


def main(argv: list[str]) -> None:
    """Exports by the flags."""
    values = flags.FLAGS
    if len(argv) > 1:
        raise InputError(f"unexpected argument {argv[1]!r}; options begin with --")
    for flag in ("workdir", "out"):
        if not values[flag].value:
            raise InputError(f"--{flag} is missing")
    if os.path.isdir(values.out):
        raise InputError(f"--out must name a file, and {values.out!r} is a folder")
    if not values.out.endswith(".safetensors"):
        raise InputError(f"--out must end in .safetensors, got {values.out!r}")
    run = load_run(values.workdir, values.checkpoint)
    export_model(run, values.out)
    print(f"{values.out}: step {run.step}, {os.path.getsize(values.out) / 1e6:,.1f} MB")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "", "run folder of train.py")
    flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
    flags.DEFINE_string("out", "", "file to write, such as model.safetensors")
    programs.run(main)
