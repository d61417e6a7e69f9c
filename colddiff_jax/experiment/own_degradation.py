"""Degradations that are objects of Python, which no configuration can describe.

The configuration of such a run names the class and the steps of its object, which is
asked for again when the run is resumed or its model is loaded.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import jax
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.degradations.base import Degradation

_NAME = "own"


def own(kind: str = "", num_steps: int = 0) -> NoReturn:
    """Raises InputError: a degradation of one's own has to be given as an object.

    Args:
        kind: the name of its class.
        num_steps: T.
    """
    raise InputError(
        f"the degradation is an object of Python ({_text(kind, num_steps)}), which no "
        "configuration describes for programs or for images of another size; in "
        "Python, give it to `load` or `train_and_evaluate` as `degradation`"
    )


def own_section(degrade: Any) -> dict[str, Any]:
    """Returns the section degradation that names an object.

    Args:
        degrade: D, unbound.

    Raises:
        InputError: not a degradation, or one that is not a pytree of arrays.

    Example:
        >>> own_section(from_function(lambda x, t: x / t, num_steps=4))
        {'name': 'own', 'kind': 'FunctionDegradation', 'num_steps': 4}
    """
    kind = type(degrade).__name__
    if isinstance(degrade, type) or not isinstance(degrade, Degradation):
        raise InputError(
            "`degradation` must be an object with `num_steps`, `bind` and `__call__`, "
            f"got {degrade!r:.80}; make one of a function by `from_function(fn, "
            "num_steps)`"
        )
    leaves = jax.tree.leaves(degrade)
    if not all(isinstance(x, jax.Array | np.ndarray | float | int) for x in leaves):
        raise InputError(
            f"`degradation` must be a pytree of arrays, which {kind} is not; decorate "
            "its class with `jax.tree_util.register_dataclass`"
        )
    return {"name": _NAME, "kind": kind, "num_steps": int(degrade.num_steps)}


def check_given(fields: Mapping[str, Any], degrade: Degradation) -> None:
    """Checks an object against the section degradation of a run.

    Raises:
        InputError: the run has a degradation of its configuration, or that of an object
            of another class or number of steps.
    """
    if fields["name"] != _NAME:
        raise InputError(
            "`degradation` must be left out: the configuration of this run describes "
            f"it, {fields['name']!r}"
        )
    given = own_section(degrade)
    if any(fields[name] != value for name, value in given.items()):
        raise InputError(
            "`degradation` must be the object of this run, "
            f"{_text(fields['kind'], fields['num_steps'])}; got "
            f"{_text(given['kind'], given['num_steps'])}"
        )


def _text(kind: str, num_steps: int) -> str:
    return f"{kind} of {num_steps} steps"
