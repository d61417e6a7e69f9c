"""Default configurations, derived from the signatures of functions.

A section of a configuration holds the arguments of a function or class, which defines
and documents its fields and their defaults: data and endpoints (`colddiff_jax.data`),
degradation (`colddiff_jax.degradations`), model (`colddiff_jax.models`), loss
(`colddiff_jax.losses`), objective (`training.objective`), optimizer and ema
(`training.optimizers`), training, evaluation and logging (`training.options`), and
prior (`experiment.prior`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
from ml_collections.config_dict import config_dict

from colddiff_jax.checks import InputError
from colddiff_jax.data import SOURCES, Preprocessing
from colddiff_jax.experiment.builders import (
    DEGRADATIONS,
    NETWORKS,
    SCHEDULES,
)
from colddiff_jax.experiment.field_types import (
    converted,
    is_sequence,
    options_of,
    type_if_given,
)
from colddiff_jax.experiment.own_objects import check_is_no_object
from colddiff_jax.experiment.prior import PriorOptions
from colddiff_jax.experiment.sections import (
    check_fields,
    chosen,
    defaults_of,
    parameters_of,
    plain,
)
from colddiff_jax.losses import DISTANCES
from colddiff_jax.training.config_files import find_config, load_config
from colddiff_jax.training.extra_fields import EXTRA_FIELDS
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.optimizers import EMA_DECAYS, make_optimizer
from colddiff_jax.training.options import (
    EvaluationOptions,
    LoggingOptions,
    TrainingOptions,
)

_NAMED: dict[str, Mapping[str, Callable]] = {
    "degradation": DEGRADATIONS,
    "model": NETWORKS,
    "loss": DISTANCES,
    "ema": EMA_DECAYS,
}
_FIXED: dict[str, list[Callable]] = {
    "data": [*SOURCES.values(), Preprocessing],
    "endpoints": [*SOURCES.values()],
    "objective": [Objective],
    "optimizer": [make_optimizer],
    "training": [TrainingOptions],
    "evaluation": [EvaluationOptions],
    "logging": [LoggingOptions],
    "prior": [PriorOptions],
}
_ADDED = ("prior",)  # Sections that configurations of earlier versions lack.

# Arguments that follow from other sections.
_NO_FIELDS = {
    "data": ("labels",),
    "endpoints": ("labels",),
    "objective": ("distance", "consistent_noise", "sees_endpoint"),
    "degradation": ("image_size",),
}

SECTIONS = ("seed", *_FIXED, *_NAMED)
"""The names of all sections."""
NAMED_SECTIONS = tuple(_NAMED)
"""The sections whose field `name` selects the function that has the other fields."""


class Config(ml_collections.ConfigDict):
    """A configuration of all sections, which refuses objects in their place."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Sets a section, also as an attribute."""
        check_is_no_object(key, value)
        super().__setitem__(key, value)


def default_config(*, degradation: Mapping[str, Any], network: str = "unet") -> Config:
    """Returns a configuration with all fields, set to their defaults.

    Args:
        degradation: its "name" and arguments, at least those without a default.
        network: the name of the network, "unet" or "convnext".

    Example:
        >>> config = default_config(degradation={"name": "snow", "num_steps": 200})
        >>> config.degradation.level, config.optimizer.learning_rate
        (3, 0.0002)
    """
    config = Config({"seed": 0})
    named = {
        "degradation": degradation,
        "model": {"name": network},
        "loss": {"name": "l1"},
        "ema": {"name": "warmup"},
    }
    for name in (*_FIXED, *_NAMED):
        config[name] = section(name, **named.get(name, {}))
    return config


def section(section_name: str, **fields: Any) -> ml_collections.ConfigDict:
    """Returns a section with these fields and the defaults of the others.

    Example:
        >>> section("loss", name="pseudo_huber", scale=0.1).to_dict()
        {'name': 'pseudo_huber', 'scale': 0.1}
    """
    completed = fields | default_fields(section_name, fields) | fields
    for function in functions_of(section_name, fields):
        for name, default in defaults_of(function).items():
            if default is None and completed.get(name) is None:
                hint = parameters_of(function)[name].annotation
                completed[name] = config_dict.placeholder(type_if_given(hint))
    for name, field in EXTRA_FIELDS.get(section_name, {}).items():
        if len(options_of(field.type)) > 1:  # Another value may have another type.
            completed[name] = ml_collections.FieldReference(
                completed[name], field_type=object
            )
    return ml_collections.ConfigDict(completed)


def complete_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration as nested dicts, with defaults for missing fields.

    Args:
        config: nested fields; a `ConfigDict` or plain dicts.

    Returns:
        All fields, converted to the types of the arguments that they set.

    Raises:
        InputError: an unknown or missing section, an unknown name, or a value of the
            wrong type.
    """
    completed: dict[str, Any] = {name: {} for name in _ADDED} | plain(config)
    check_fields("", completed, list(SECTIONS), list(SECTIONS))
    for name in (*_FIXED, *_NAMED):
        fields = completed[name]
        if isinstance(fields, dict):
            completed[name] = fields | default_fields(name, fields) | fields
            completed[name] |= _typed_fields(name, completed[name])
    return completed


def types_of_fields(section_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the type hints of all fields of a section except `name`.

    Args:
        section_name: one of `SECTIONS`, or the path of a schedule, such as
            "degradation.stds".
        fields: the fields of the section; `name` selects a function where there is a
            choice.
    """
    hints = {
        name: parameter.annotation
        for function in functions_of(section_name, fields)
        for name, parameter in parameters_of(function).items()
        if name not in _no_fields(section_name)
    }
    extra = EXTRA_FIELDS.get(section_name, {})
    return hints | {name: field.type for name, field in extra.items()}


def with_variant(
    config: ml_collections.ConfigDict,
    variant: str | None,
    **variants: Callable[[ml_collections.ConfigDict], None],
) -> ml_collections.ConfigDict:
    """Applies the variant that follows the colon in the name of a configuration.

    Args:
        config: the default configuration, changed in place.
        variant: the name of a variant; None or "" for the default.
        **variants: functions that change the default into a variant, by its name.

    Raises:
        InputError: an unknown variant.
    """
    if not variant:
        return config
    if variant not in variants:
        raise InputError(
            f"no variant {variant!r} of this configuration; it has "
            f"{', '.join(sorted(variants))}"
        )
    variants[variant](config)
    return config


def get_config(name: str) -> ml_collections.ConfigDict:
    """Returns a configuration by its name or the path of its file.

    Args:
        name: the name of a configuration of this library, such as "cifar_blur", or the
            path of a Python file with a function `get_config(variant)`. A variant
            follows a colon.

    Raises:
        InputError: no such configuration or variant, or a file that is not Python or
            fails.

    Example:
        >>> get_config("mnist_blur:cpu").training.num_steps
        12000
    """
    return load_config(*find_config(name))


def functions_of(section_name: str, fields: Mapping[str, Any]) -> list[Callable]:
    """Returns the functions whose arguments a section holds.

    Args:
        section_name: as for `types_of_fields`.
        fields: the fields of the section; `name` selects a function where there is a
            choice.
    """
    if section_name in _FIXED:
        return _FIXED[section_name]
    return [chosen(section_name, choices_of(section_name), fields)]


def choices_of(section_name: str) -> Mapping[str, Callable]:
    """Returns the functions that `name` selects in a section, or in a schedule."""
    return _NAMED.get(section_name, SCHEDULES)


def _no_fields(section_name: str) -> tuple[str, ...]:
    return _NO_FIELDS.get(section_name.partition(".")[0], ())


def _typed_fields(section_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that have a type hint, converted to these types."""
    hints = types_of_fields(section_name, fields)
    result = {}
    for name, value in fields.items():
        path = f"{section_name}.{name}"
        if name in hints and isinstance(value, dict) and is_sequence(hints[name]):
            result[name] = value | _typed_fields(path, value)
        elif name in hints:
            result[name] = converted(path, value, hints[name])
    return result


def default_fields(section_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the defaults of the fields of a section, except those without one."""
    extra = EXTRA_FIELDS.get(section_name, {})
    defaults = {name: field.default for name, field in extra.items()}
    for function in functions_of(section_name, fields):
        for name, default in defaults_of(function).items():
            if name not in _no_fields(section_name):
                defaults.setdefault(name, plain(default))
    return defaults
