"""Exports a trained network as an ONNX model."""

import logging
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax import export
from jax.extend import core

from colddiff_jax.checks import InputError
from colddiff_jax.experiment.model import Model, build_model
from colddiff_jax.experiment.own_network import OWN
from colddiff_jax.io import disk
from colddiff_jax.restoration.restorer import Restorer

_CALLS = {
    "jit": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Primitives that call a function, and their parameter with that function."""


def export_onnx(restorer: Restorer, path: str) -> None:
    """Writes a trained network as an ONNX model of one call.

        x0_hat = R(x_t, t)

    The model computes in float32. Its inputs are x_t, float32 [B, H, W, C], t, int32
    [B], and, if the network is conditional, labels, int32 [B], where the number of
    classes stands for none; B is any number. Its output is x0_hat, like x_t.

    Args:
        restorer: from `load_run`.
        path: the file to write; its name should end in `.onnx`.

    Raises:
        InputError: jax2onnx is not installed, a network that sees more than x_t, or a
            file that cannot be written.

    Example:
        >>> export_onnx(load_run("runs/digits_blur"), "digits.onnx")  # doctest: +SKIP
    """
    try:
        # It logs what it does not support of libraries that are not used here.
        logging.getLogger("jax2onnx").setLevel(logging.CRITICAL)
        import jax2onnx
    except ImportError as error:
        raise InputError(
            "exporting an ONNX model needs jax2onnx: pip install 'colddiff-jax[onnx]'"
        ) from error
    if restorer.model.sees_endpoint:
        raise InputError(
            "the network of this run sees the image that x_t is blended with, which an "
            "ONNX model does not take; export it to .safetensors"
        )
    model = _as_portable(restorer.model)
    params = jax.tree.map(jnp.asarray, jax.device_get(restorer.params))

    def restore(x_t: chex.Array, t: chex.Array, *labels: chex.Array) -> chex.Array:
        return model.restore_fn(params, labels=labels[0] if labels else None)(x_t, t)

    (batch,) = export.symbolic_shape("B")
    per_image = jax.ShapeDtypeStruct((batch,), jnp.int32)
    inputs = {
        "x_t": jax.ShapeDtypeStruct((batch, *model.image_shape), jnp.float32),
        "t": per_image,
    }
    if model.num_classes:
        inputs["labels"] = per_image
    traced = jax.make_jaxpr(restore)(*inputs.values())
    converted = jax2onnx.to_onnx(
        lambda *arguments: _evaluate(traced, arguments)[0],
        list(inputs.values()),
        model_name="restorer",
        input_names=list(inputs),
        output_names=["x0_hat"],
    )
    disk.write_file(path, converted.SerializeToString())


def _as_portable(model: Model) -> Model:
    """Returns a model with the same weights, of layers that any runtime computes."""
    fields = dict(model.config["model"])
    if fields["name"] == OWN:
        return model
    portable = {
        "dtype": "float32",
        "remat": False,
        "attention_implementation": "xla",
    }
    fields |= {name: value for name, value in portable.items() if name in fields}
    return build_model(
        model.config | {"model": fields},
        channels=model.image_shape[-1],
        scales=model.scales,
        degrade=model.degrade,
    )


def _evaluate(traced: core.ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    """Evaluates a traced function in the primitives that jax2onnx can convert.

    Calls are inlined, `platform_dependent` functions take the form for any platform,
    and arrays are stacked by concatenation.
    """
    jaxpr = traced.jaxpr
    values: dict[core.Var, Any] = {}

    def read(variable: core.Var | core.Literal) -> Any:
        if isinstance(variable, core.Literal):
            return variable.val
        return values[variable]

    values.update(zip(jaxpr.constvars, traced.consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    for equation in jaxpr.eqns:
        operands = [read(variable) for variable in equation.invars]
        primitive, options = equation.primitive, equation.params
        if primitive.name in _CALLS:
            results = _evaluate(options[_CALLS[primitive.name]], operands)
        elif primitive.name == "platform_index":
            results = [options["platforms"].index(None)]
        elif primitive.name == "cond" and isinstance(operands[0], int):
            results = _evaluate(options["branches"][operands[0]], operands[1:])
        elif primitive.name == "stack":
            axis = options["axis"]
            parts = [jnp.expand_dims(operand, axis) for operand in operands]
            results = [jnp.concatenate(parts, axis)]
        else:
            results = primitive.bind(*operands, **options)
            results = results if primitive.multiple_results else [results]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]
