"""Networks that are objects of Python, which no configuration can describe.

The configuration of such a run names the class of its object, which is asked for again
when the run is resumed or its model is loaded.
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import flax.linen as nn
import jax
import jax.numpy as jnp

from colddiff_jax.checks import InputError
from colddiff_jax.models.adapters import as_linen

OWN = "own"
"""The name of these networks in a configuration."""
# Fields that hold for any network.
_AROUND = ("precondition", "consistent_noise", "see_endpoint")


def own(kind: str = "", num_classes: int = 0) -> NoReturn:
    """Raises InputError: a network of one's own has to be given as an object.

    Args:
        kind: the name of its class.
        num_classes: the number of classes of a conditional network; 0 for none.
    """
    del num_classes
    raise InputError(
        f"the network is an object of Python ({kind}), which no configuration "
        "describes for programs; in Python, give it to `load` or `train_and_evaluate` "
        "as `model`"
    )


def own_network(model: Any) -> nn.Module:
    """Returns a network as a linen module; see `as_linen`.

    Raises:
        InputError: not a network, or one whose state is not only its parameters.
    """
    try:
        return as_linen(model)
    except (TypeError, ValueError) as error:
        raise InputError(f"`model` {error}") from error


def own_section(model: Any, fields: Any) -> dict[str, Any]:
    """Returns the section model that names an object.

    Args:
        model: the network, as it was given.
        fields: the section that it replaces, whose fields `precondition`,
            `consistent_noise` and `see_endpoint` stay: they hold for any network.

    Example:
        >>> own_section(nn.Dense(1), {"name": "unet", "precondition": True})
        {'name': 'own', 'kind': 'Dense', 'num_classes': 0, 'precondition': True}
    """
    kept = fields if isinstance(fields, Mapping) else {}
    return {
        "name": OWN,
        "kind": type(model).__name__,
        "num_classes": getattr(model, "num_classes", 0),
        **{name: value for name, value in kept.items() if name in _AROUND},
    }


def check_given(fields: Mapping[str, Any], model: Any) -> None:
    """Checks an object against the section model of a run.

    Raises:
        InputError: the run has a network of its configuration, or an object of another
            class or number of classes.
    """
    if fields["name"] != OWN:
        raise InputError(
            "`model` must be left out: the configuration of this run describes it, "
            f"{fields['name']!r}"
        )
    given = own_section(model, {})
    if any(fields[name] != value for name, value in given.items()):
        raise InputError(
            f"`model` must be the object of this run, {_text(fields)}; got "
            f"{_text(given)}"
        )


def check_predictions(network: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Checks that a network can be trained on images, without computing anything.

    Args:
        network: from `own_network`.
        image_shape: (H, W, C) of the images.

    Raises:
        InputError: a network that fails, whose predictions are not like its images, or
            that has other variables than parameters of floating point.
    """
    x, t = jnp.zeros((2, *image_shape)), jnp.ones(2, jnp.int32)
    labels: dict[str, Any] = {"labels": t} if getattr(network, "num_classes", 0) else {}
    variables = _shapes(network.init, jax.random.key(0), x, t, **labels)
    if set(variables) != {"params"}:
        raise InputError(
            "`model` must have parameters, and no other variables, got "
            f"{sorted(variables)}; leave layers such as batch normalisation out"
        )
    for leaf in jax.tree.leaves(variables):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise InputError(
                "`model` must have parameters of floating point, got an array of dtype "
                f"{leaf.dtype}; make it a constant of the network"
            )
    predicted = _shapes(network.apply, variables, x, t, **labels)
    shape = getattr(predicted, "shape", type(predicted).__name__)
    if shape != x.shape:
        raise InputError(
            f"`model` must return predictions like x, {x.shape}, got {shape}"
        )


def _shapes(function: Callable, *arguments: Any, **labels: Any) -> Any:
    """Returns the shapes of what a function of a network returns."""
    try:
        return jax.eval_shape(function, *arguments, **labels)
    except Exception as error:  # Code of the user, which can raise anything.
        x, t = arguments[1:]
        raise InputError(
            f"`model` fails when called with x {x.shape} and t {t.shape}: "
            f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
        ) from error


def _text(fields: Mapping[str, Any]) -> str:
    classes = fields["num_classes"]
    return f"{fields['kind']} of {classes} classes" if classes else fields["kind"]
