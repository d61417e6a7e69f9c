"""Exports a sampler, with its degradation and its network, as one program."""

from typing import Literal

import chex
import jax
import jax.numpy as jnp
from jax import export

from colddiff_jax.checks import InputError
from colddiff_jax.degradations import Noisy
from colddiff_jax.degradations.base import endpoint_kind, takes_images
from colddiff_jax.experiment.model import Model
from colddiff_jax.io import disk
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.samplers import (
    SamplerSpec,
    check_endpoint,
    parse_samplers,
    run_samplers,
)

PLATFORMS = ("cpu", "cuda", "tpu")
"""The platforms that one exported program runs on."""


def export_sampler(
    restorer: Restorer,
    path: str,
    sampler: str = "alg2",
    *,
    endpoint: Literal["fixed", "estimated"] = "fixed",
) -> None:
    """Writes a sampler with its model as one program, in the format of `jax.export`.

        x_0 = program(x_T)

    The tables of D and the weights of R are part of the program, which takes any
    number of images, float32 [B, H, W, C], and runs on CPUs, NVIDIA GPUs and TPUs. JAX
    runs it without this package. The program of a conditional network has a second
    argument, the classes, int32 [B], where the number of classes stands for none.

    Args:
        restorer: from `load_run`.
        path: the file to write; its name should end in `.stablehlo`.
        sampler: a name for `parse_samplers`, such as "alg2", or "alg2:5" for five steps
            of equal stride.
        endpoint: "fixed" or "estimated", as in `sample_alg2`.

    Raises:
        InputError: a sampler or an endpoint that the degradation does not allow, a
            sampler that needs random draws, or a file that cannot be written.

    Example:
        >>> export_sampler(load_run("runs/digits_blur"), "digits.stablehlo", "alg2:5")
        >>> with open("digits.stablehlo", "rb") as file:
        ...     program = jax.export.deserialize(bytearray(file.read()))
        >>> jax.jit(program.call)(jnp.zeros((3, 16, 16, 1))).shape
        (3, 16, 16, 1)
    """
    model = restorer.model
    (spec,) = parse_samplers([sampler], model.degrade, target=model.target)
    _check_draws_nothing(model, spec, endpoint)
    # A run's weights are on all devices; a program is for one.
    params = jax.tree.map(jnp.asarray, jax.device_get(restorer.params))

    def restore(x_T: chex.Array, labels: chex.Array | None = None) -> chex.Array:
        degrade = model.degrade
        if model.paired:
            degrade = degrade.with_endpoint(x_T)  # type: ignore[attr-defined]
        restore_fn = model.restore_fn(params, labels=labels, degrade=degrade)
        restored = run_samplers([spec], restore_fn, degrade, x_T, endpoint=endpoint)
        return restored[spec.name]

    (batch,) = export.symbolic_shape("B")
    inputs = [jax.ShapeDtypeStruct((batch, *model.image_shape), jnp.float32)]
    if model.num_classes:
        inputs.append(jax.ShapeDtypeStruct((batch,), jnp.int32))
    program = export.export(jax.jit(restore), platforms=PLATFORMS)(*inputs)
    disk.write_file(path, bytes(program.serialize()))


def _check_draws_nothing(model: Model, spec: SamplerSpec, endpoint: str) -> None:
    """Raises InputError for a sampler whose x_0 depends on more than x_T."""
    degrade = model.degrade
    if spec.sampler == "ihd":
        raise InputError(
            "an exported sampler draws no noise, as ihd does at every step; export the "
            "network instead, to .safetensors or .onnx"
        )
    if spec.sampler == "ddim":
        raise InputError(
            "an exported sampler draws no noise, as ddim may; `sampler` alg2 with "
            "`endpoint` estimated is ddim without fresh noise"
        )
    if isinstance(degrade, Noisy) and takes_images(degrade):
        raise InputError(
            "the degradation of this run blends with an image and with noise, and an "
            "exported sampler knows neither; export the model to .safetensors"
        )
    if model.paired and getattr(degrade, "endpoint_noise", 0.0) > 0:
        raise InputError(
            "an exported sampler draws no noise, as `degradation.endpoint_noise` of "
            "this run does; export the network instead, to .safetensors"
        )
    if endpoint == "estimated":
        check_endpoint(endpoint, degrade)
    if model.sees_endpoint and not model.paired:
        raise InputError(
            "the network of this run sees what an image was blended with, which an "
            "exported sampler does not know; export the network instead"
        )
    if spec.sampler == "direct":
        if endpoint == "estimated":
            raise InputError(
                "`endpoint` has no effect with the sampler direct; leave it out"
            )
        return  # D is never called.
    if endpoint_kind(degrade) is not None:
        if endpoint == "fixed" and not model.paired:
            raise InputError(
                "an exported sampler does not know what an image was blended with; "
                "set `endpoint` to estimated"
            )
        return  # Nothing else is drawn in a blend.
    shape = (1, *model.image_shape)
    bound = jax.eval_shape(lambda: degrade.bind(jax.random.key(0), shape))
    if len(jax.tree.leaves(bound)) > len(jax.tree.leaves(degrade)):
        raise InputError(
            f"the degradation of this run, a {type(degrade).__name__}, is drawn at "
            "random for each image, and an exported sampler does not know the draw; "
            "set `sampler` to direct, which needs none"
        )
