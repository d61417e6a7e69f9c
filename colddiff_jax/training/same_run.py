"""Checks that a run is resumed with the same configuration and the same data."""

import json
from collections.abc import Mapping
from typing import Any

from colddiff_jax.checks import InputError
from colddiff_jax.experiment.run_folder import is_run_folder, load_description
from colddiff_jax.training.config import complete_config

# Fields that may change when a run is resumed, since they do not affect what is
# learned. Images may have moved: their hash shows whether they are the same.
_FREE = (
    "data.path",
    "data.data_dir",
    "endpoints.path",
    "endpoints.data_dir",
    "training.num_steps",
    "training.log_every",
    "training.evaluate_every",
    "training.checkpoint_every",
    "training.steps_per_call",
    "training.resident_mb",
    "training.num_workers",
    "training.profile_steps",
    "evaluation.",
    "logging.",
    "prior.",
)


def check_same_run(description: Mapping[str, Any], workdir: str) -> None:
    """Checks the description of a run against the one in its folder, if any.

    Args:
        description: from `describe`.
        workdir: the run folder.

    Raises:
        InputError: the folder holds a run of another configuration, other data, or
            another precision of JAX's numbers. The number of steps, the intervals of
            logging and evaluation, the location of the images, and the sections
            evaluation, logging and prior may change: they do not affect what is
            learned.
    """
    if not is_run_folder(workdir):
        return
    before = load_description(workdir)
    # As JSON, like the description: with lists in place of tuples.
    completed = json.loads(json.dumps(complete_config(before["config"])))
    changed = differences(completed, description["config"])
    if changed:
        raise InputError(
            f"{workdir} holds a run of another configuration "
            f"({'; '.join(changed)}); choose another `workdir`, remove that folder, or "
            "continue with the new one by `force`"
        )
    if before["x64"] not in (None, description["x64"]):
        raise InputError(
            f"{workdir} holds a run with jax_enable_x64 = {before['x64']}, which is "
            f"now {description['x64']}; set it as before, or continue by `force`"
        )
    if before["data"] != description["data"]:
        raise InputError(
            f"{workdir} holds a run on other images than `data.source` gives now "
            f"(their hash was {before['data'][:12]} and is "
            f"{description['data'][:12]}); choose another `workdir`, or continue with "
            "these by `force`"
        )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Lists the fields that must not change and did, as "seed: 0 -> 7"."""
    old, new = _flatten(before), _flatten(after)
    return [
        f"{field}: {old.get(field)!r} -> {new.get(field)!r}"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field) and not field.startswith(_FREE)
    ]


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            flat |= _flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat
