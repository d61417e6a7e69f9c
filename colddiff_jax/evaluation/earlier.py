"""Results of other samplers that an earlier call left in the same file."""

import json
from collections.abc import Mapping
from typing import Any

# The samplers are what a call adds; the others change no more than the last bits.
_MAY_DIFFER = ("samplers", "batch_size", "device", "versions")


def add_to_earlier(path: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns results together with those of other samplers in an earlier file.

    Prints a line if the file is of other settings, whose results are then left out.

    Args:
        path: the file of the earlier results, which need not exist.
        content: the results, with their "settings", "command", "seconds" and "notes".

    Returns:
        The results of both calls, by sampler; those of this one replace those of the
        earlier one. The settings, apart from the samplers, are of this call, and
        "commands" has the command of every sampler.
    """
    content = {**content, "commands": _commands(content)}
    try:
        with open(path) as file:
            earlier = json.load(file)
        before, now = earlier["settings"], content["settings"]
        commands = _commands(earlier)
    except FileNotFoundError:
        return content
    except (OSError, ValueError, KeyError, TypeError):
        print(f"{path} cannot be read; the results begin anew")
        return content
    names = (before.keys() | now.keys()) - {*_MAY_DIFFER}
    changed = sorted(name for name in names if before.get(name) != now.get(name))
    if changed:
        print(
            f"{path} was of other settings ({', '.join(changed)}); the results begin "
            "anew"
        )
        return content
    merged = _merge({**earlier, "commands": commands}, content)
    merged["settings"]["samplers"] = _union(before["samplers"], now["samplers"])
    merged["notes"] = _union(earlier["notes"], content["notes"])
    merged["seconds"] = round(earlier["seconds"] + content["seconds"], 1)
    return merged


def _commands(results: Mapping[str, Any]) -> dict[str, str]:
    """Returns the command of every sampler."""
    samplers, command = results["settings"]["samplers"], results["command"]
    return results.get("commands") or dict.fromkeys(samplers, command)


def _union(first: list[str], second: list[str]) -> list[str]:
    return [*dict.fromkeys([*first, *second])]


def _merge(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Merges nested dictionaries; where both have a value, it is the later one's."""
    merged = {**earlier, **later}
    for name in earlier.keys() & later.keys():
        if isinstance(earlier[name], dict) and isinstance(later[name], dict):
            merged[name] = _merge(earlier[name], later[name])
    return {name: merged[name] for name in sorted(merged, key=_place)}


def _place(row: str) -> int:
    """Returns where a row stands: degraded images, the samplers, images of the run."""
    return 0 if row == "degraded" else 2 if row.endswith(" images") else 1
