"""A degradation and a network given as objects, in place of their sections."""

from collections.abc import Mapping
from typing import Any

from colddiff_jax.checks import InputError
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment import own_degradation, own_network
from colddiff_jax.experiment.sections import plain


def check_is_no_object(section_name: str, value: Any) -> None:
    """Raises InputError for an object where a section of a configuration should be."""
    if section_name in ("degradation", "model") and callable(value):
        given = getattr(value, "__name__", type(value).__name__)
        fix = "..."
        if section_name == "degradation" and not isinstance(value, Degradation):
            fix = f"from_function({given}, num_steps)"
        raise InputError(
            f"the section {section_name} holds a name and its arguments, no objects "
            f"such as {given}; leave it, and train with "
            f"`train_and_evaluate(config, workdir, {section_name}={fix})`"
        )


def named(
    config: Mapping[str, Any], degradation: Degradation | None, model: Any
) -> dict[str, Any]:
    """Returns a configuration whose sections name the objects that are given.

    Raises:
        InputError: not a degradation, or an object within the configuration.
    """
    config = dict(plain(config))
    for name, value in config.items():
        check_is_no_object(name, value)
    sections: dict[str, Any] = {}
    if degradation is not None:
        sections["degradation"] = own_degradation.own_section(degradation)
    if model is not None:
        sections["model"] = own_network.own_section(model, config.get("model"))
    return config | sections


def checked(
    config: Mapping[str, Any], degradation: Degradation | None, model: Any
) -> dict[str, Any]:
    """Checks objects against the configuration of a run that was trained with them.

    Returns:
        The objects, as keyword arguments of `build_model`.

    Raises:
        InputError: the run was trained with another object, or with none.
    """
    arguments: dict[str, Any] = {}
    if degradation is not None:
        own_degradation.check_given(config["degradation"], degradation)
        arguments["degrade"] = degradation
    if model is not None:
        own_network.check_given(config["model"], model)
        arguments["network"] = own_network.own_network(model)
    return arguments
