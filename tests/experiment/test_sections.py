"""Calling functions with the fields of a section."""

import json
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment.sections import (
    call,
    call_named,
    choose,
    defaults_of,
    parameters_of,
    plain,
)


class Dense(nn.Module):
    features: int = 3


def scaled(
    size: int,
    name_of_file: str,
    factor: float = 2.0,
    mode: Literal["a", "b"] | None = None,
    seed: int | None = None,
) -> float:
    if size < 0:
        raise ValueError(f"size must not be negative, got {size}")
    return size * factor


def negated(value: int) -> int:
    return -value


CHOICES = {"scaled": scaled, "negated": negated}


def test_defaults_follow_the_signature_and_flax_adds_nothing():
    assert defaults_of(scaled) == {
        "name_of_file": "",
        "factor": 2.0,
        "mode": None,
        "seed": None,
    }
    assert list(parameters_of(Dense)) == ["features"]


def test_a_function_is_chosen_by_name_and_gets_the_known_arguments_it_has():
    fields = {"name": "scaled", "name_of_file": "x"}
    assert call_named("part", CHOICES, fields, size=4, other=1) == 8.0
    assert call_named("part", CHOICES, {"name": "negated", "value": 3}, size=4) == -3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "other"}, r"`part.name` must be one of \['negated', 'scaled'\]"),
        ({"name": {}}, r"`part.name` must be one of .* got {}"),
        ({}, r"`part.name` must be one of .* got None"),
        (3, r"section 'part' of the configuration must hold named fields, got 3"),
        ({"name": "scaled", "size": 1}, "must not have a field 'size': it follows"),
        ({"name": "negated", "size": 1}, "must not have a field 'size': it follows"),
        (
            {"name": "negated"},
            r"section 'part' .* lacks the field 'value'; set config.part.value$",
        ),
        ({"name": "negated", "value": 1, "x": 1}, r"unknown field 'x'; known: \['val"),
    ],
)
def test_invalid_sections_raise(fields, message):
    with pytest.raises(InputError, match=message):
        call_named("part", CHOICES, fields, size=1)


def test_one_error_names_all_missing_fields():
    message = (
        r"lacks the fields 'size', 'name_of_file'; set config.part.size and "
        r"config.part.name_of_file$"
    )
    with pytest.raises(InputError, match=message):
        call("part", scaled, {"factor": 1.0})


def test_errors_of_a_function_name_its_field_or_section():
    with pytest.raises(InputError, match=r"^`part.size` must not be negative, got -1$"):
        call("part", scaled, {"size": -1, "name_of_file": ""})

    def failing(value):
        raise TypeError("it must be something else")

    with pytest.raises(InputError, match=r"^part: it must be something else$"):
        call("part", failing, {"value": 1})


def test_choices_may_be_anything():
    assert choose("field", {"a": 1}, "a") == 1
    with pytest.raises(InputError, match=r"`field` must be one of \['a'\], got \[1\]"):
        choose("field", {"a": 1}, [1])


def test_plain_values_are_hashable():
    found = plain({"a": [1, [2, {"b": [3]}]], "c": "text"})
    assert found == {"a": (1, (2, {"b": (3,)})), "c": "text"}
    hash(plain([1, [2]]))


def test_numpy_and_jax_values_become_those_that_json_stores():
    found = plain(
        {
            "stds": np.linspace(1, 2, 3),
            "rate": np.float32(0.5),
            "steps": np.int64(3),
            "nested": [jnp.arange(2), np.bool_(True)],
        }
    )
    expected = {"stds": (1.0, 1.5, 2.0), "rate": 0.5, "steps": 3}
    assert found == expected | {"nested": ((0, 1), True)}
    assert type(found["steps"]) is int and type(found["nested"][1]) is bool
    json.dumps(found)
