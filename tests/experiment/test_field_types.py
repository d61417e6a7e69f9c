"""Conversion of the fields of a configuration to the types of arguments."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment.field_types import converted, parsed, type_if_given

Center = Literal["middle", "random"] | tuple[int, int]
Schedule = Sequence[float] | np.ndarray


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3),
        (1e4, int, 10_000),
        (np.int64(3), int, 3),
        (np.bool_(True), bool, True),
        (2, float, 2.0),
        (np.float32(0.5), float, 0.5),
        ("2", str, "2"),
        (None, int | None, None),
        (5.0, int | None, 5),
        ([1, 2.0], tuple[int, ...], (1, 2)),
        ((1, 2), Schedule, (1.0, 2.0)),
        ([[4, 2], [2, 1]], Sequence[int] | Sequence[Sequence[int]], ((4, 2), (2, 1))),
        ("random", Center, "random"),
        ([3, 4], Center, (3, 4)),
    ],
)
def test_values_become_the_type_of_the_argument(value, annotation, expected):
    found = converted("part.field", value, annotation)
    assert found == expected and type(found) is type(expected)


def test_arrays_functions_and_values_of_any_type_are_unchanged():
    array = np.ones(3)
    assert converted("part.field", array, Schedule) is array
    assert converted("part.field", abs, Callable[[float], float]) is abs
    assert converted("part.field", abs, Any) is abs


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("3", int, "an integer"),
        (1.5, int, "an integer"),
        (True, int, "an integer"),
        (None, int, "an integer"),
        (True, float, "a finite number"),
        (float("nan"), float, "a finite number"),
        (10**400, float, "a finite number"),
        ("false", bool, "True or False"),
        (0, bool, "True or False"),
        (None, str, "a text"),
        ("5", int | None, "an integer or None"),
        ("1,2", Schedule, "a list of finite numbers"),
        ([1, "a"], Schedule, "a list of finite numbers"),
        ([1.5, 2], Center, r"one of \['middle', 'random'\] or 2 integers"),
        ((1, 2, 3), tuple[float, float], "2 finite numbers"),
        ("mid", Center, r"one of \['middle', 'random'\] or 2 integers"),
        (3, Sequence[Sequence[int]], "a list of lists of integers"),
    ],
)
def test_values_of_another_type_raise(value, annotation, expected):
    with pytest.raises(InputError, match=f"^`part.field` must be {expected}, got "):
        converted("part.field", value, annotation)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("1e4", int, 10_000),
        ("16.0", int, 16),
        ("1", int, 1),
        ("1", float, 1.0),
        ("1", bool, True),
        ("yes", bool, True),
        ("False", bool, False),
        ("OFF", bool, False),
        ("None", int | None, None),
        ("none", str | None, None),
        ("None", str, "None"),
        ("1", str, "1"),
        ("true", str | None, "true"),
        ("1,2,3", Schedule, (1.0, 2.0, 3.0)),
        ("(1, 2)", tuple[int, ...], (1, 2)),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("8", tuple[int, ...], (8,)),
        ("()", tuple[int, ...], ()),
        ("3,5", int | Sequence[int], (3, 5)),
        ("3", int | Sequence[int], 3),
        ("random", Center, "random"),
        ("3,4", Center, (3, 4)),
    ],
)
def test_texts_become_the_type_of_the_argument(text, annotation, expected):
    found = parsed("part.field", text, annotation)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("True", int),
        ("1.5", int),
        ("None", int),
        ("nan", float),
        ("", float),
        ("2", bool),
        ("maybe", bool),
        ("1,a", Schedule),
        ("(" * 1000, int),
    ],
)
def test_texts_that_are_not_values_of_the_type_raise(text, annotation):
    with pytest.raises(InputError, match=r"^`part.field` must be .*, got '"):
        parsed("part.field", text, annotation)


def test_the_type_of_an_optional_value_that_is_given():
    assert type_if_given(int | None) is int
    assert type_if_given(Literal["xla", "cudnn"] | None) is str
