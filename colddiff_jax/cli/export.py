"""Exports a trained model as one file, to keep, to share or to run elsewhere.

    python -m colddiff_jax.cli.export --workdir=runs/flowers --out=flowers.safetensors
    python -m colddiff_jax.cli.export --workdir=runs/flowers --out=flowers.stablehlo
    python -m colddiff_jax.cli.export --workdir=runs/flowers --out=flowers.onnx

The ending chooses what the file holds. In .safetensors, the averaged weights and the
configuration: all that `load_run` needs, in a quarter of the size of a checkpoint. In
.stablehlo, a whole sampler from x_T to x_0, by default of all steps of Algorithm 2,
which JAX runs without this package on CPUs, NVIDIA GPUs and TPUs. In .onnx, one call of
the network, R(x_t, t), for ONNX Runtime and others.
"""

import os

from absl import flags

from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.export_onnx import export_onnx
from colddiff_jax.restoration.export_sampler import export_sampler
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.sampling import SAMPLERS


def main() -> None:
    """Exports by the flags."""
    values = flags.FLAGS
    if os.path.isdir(values.out):
        raise InputError(f"`out` must name a file, and {values.out!r} is a folder")
    ending = os.path.splitext(values.out)[1]
    if ending not in _EXPORTS:
        raise InputError(
            f"`out` must end in one of {', '.join(_EXPORTS)}, got {values.out!r}"
        )
    for names, needed in _ONLY_FOR.items():
        for name in names:
            if values[name].present and ending != needed:
                raise InputError(f"`{name}` needs an `out` that ends in {needed}")
    restorer = load_run(values.workdir, values.checkpoint)
    _EXPORTS[ending](restorer, values.out)
    size = os.path.getsize(values.out) / 1e6
    print(f"{values.out}: step {restorer.step}, {size:,.1f} MB")


def _export_model(restorer: Restorer, path: str) -> None:
    export_model(restorer, path, half=flags.FLAGS.half)


def _export_sampler(restorer: Restorer, path: str) -> None:
    values = flags.FLAGS
    steps = f":{values.steps}" if values.steps else ""
    export_sampler(restorer, path, values.sampler + steps, endpoint=values.endpoint)


_EXPORTS = {
    ".safetensors": _export_model,
    ".stablehlo": _export_sampler,
    ".onnx": export_onnx,
}
_ONLY_FOR = {
    ("half",): ".safetensors",
    ("sampler", "steps", "endpoint"): ".stablehlo",
}

if __name__ == "__main__":
    flags.DEFINE_string("workdir", "", "run folder of train.py, or an exported file")
    flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
    flags.DEFINE_string("out", "", "file to write, such as model.safetensors")
    flags.DEFINE_bool("half", False, "for .safetensors: round the weights to float16")
    flags.DEFINE_enum(
        "sampler", "alg2", [*SAMPLERS], "for .stablehlo; direct is a single prediction"
    )
    flags.DEFINE_integer("steps", 0, "for .stablehlo: steps of equal stride; 0: all", 0)
    flags.DEFINE_enum(
        "endpoint",
        "fixed",
        ["fixed", "estimated"],
        "for .stablehlo: endpoint of a blend with noise, a colour or images; the file "
        "cannot know a fixed one",
    )
    program.run(main, required=("workdir", "out"))
