"""Checks of the fields and inputs of the networks."""

import dataclasses
from collections.abc import Callable
from typing import Any

import chex
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import (
    MAX_SIDE,
    check_choice,
    check_images,
    check_integer,
    is_finite_number,
)

# Bounds that no network in use comes near; they catch slips before memory runs out.
_MAX_CHANNELS = 65_536
_MAX_CLASSES = 1_000_000


def check_inputs(x: chex.Array, t: chex.Array) -> chex.Array:
    """Returns x as an array; raises unless it is a float batch with one step each."""
    x = check_images(x)
    if np.shape(t) != (x.shape[0],):
        raise ValueError(
            f"t must be one integer per image, shape ({x.shape[0]},), got shape "
            f"{np.shape(t)}"
        )
    return x


def check_options(network: Any) -> None:
    """Raises a ValueError unless all fields of a network have valid values."""
    for field in dataclasses.fields(network):
        if field.name in _CHECKS:
            _CHECKS[field.name](field.name, getattr(network, field.name))
    if getattr(network, "local", False) and network.attention_resolutions:
        raise ValueError(
            "a local network has no attention, which reaches over the whole image; set "
            "attention_resolutions to ()"
        )


def _base_channels(name: str, value: Any) -> None:
    # Half of them are sines and half cosines, of at least two frequencies.
    if not _is_integer(value, least=4) or value % 2:
        raise ValueError(f"{name} must be an even integer of at least 4, got {value!r}")
    check_integer(name, value, cap=_MAX_CHANNELS)


def _multipliers(name: str, value: Any) -> None:
    if not _are_positive_integers(value) or not len(value):
        raise ValueError(
            f"{name} must be one or more positive integers, one per level, got "
            f"{value!r}"
        )
    for multiplier in value:
        check_integer(name, multiplier, cap=_MAX_CHANNELS)


def _resolutions(name: str, value: Any) -> None:
    if not _are_positive_integers(value):
        raise ValueError(
            f"{name} must be a sequence of positive integers, which may be empty, got "
            f"{value!r}"
        )


def _blocks(name: str, value: Any) -> None:
    check_integer(name, value, cap=1000)


def _groups(name: str, value: Any) -> None:
    check_integer(name, value, cap=_MAX_CHANNELS)


def _patch(name: str, value: Any) -> None:
    check_integer(name, value, cap=MAX_SIDE)


def _classes(name: str, value: Any) -> None:
    check_integer(name, value, least=0, cap=_MAX_CLASSES)


def _dropout(name: str, value: Any) -> None:
    if not is_finite_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in 0 <= x < 1, got {value!r}")


def _switch(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def _attention(name: str, value: Any) -> None:
    check_choice(name, value, [None, "xla", "cudnn"])


def _dtype(name: str, value: Any) -> None:
    try:
        valid = value is not None and jnp.issubdtype(jnp.dtype(value), jnp.floating)
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"{name} must be a floating-point dtype such as jnp.bfloat16, got {value!r}"
        )


def _is_integer(value: Any, *, least: int = 1) -> bool:
    try:
        check_integer("", value, least=least)
    except ValueError:
        return False
    return True


def _are_positive_integers(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(map(_is_integer, values))


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "base_channels": _base_channels,
    "channel_multipliers": _multipliers,
    "num_blocks": _blocks,
    "attention_resolutions": _resolutions,
    "num_groups": _groups,
    "dropout": _dropout,
    "num_classes": _classes,
    "patch_size": _patch,
    "time_embedding": _switch,
    "residual": _switch,
    "zero_output": _switch,
    "local": _switch,
    "remat": _switch,
    "attention_implementation": _attention,
    "dtype": _dtype,
}
