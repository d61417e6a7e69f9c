"""The error of everything a user can get wrong, and how it lists things."""

from collections.abc import Mapping, Sequence

_LISTED = 6  # Names that an error lists.


class InputError(ValueError):
    """Bad input: one line that names the value, what was expected and the fix.

    The programs print it alone and exit with status 1; any other exception is a fault
    of ours and keeps its traceback.
    """


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are: "a, b, c, d, e, f and 3 more"."""
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "nothing") + rest


def listed_by_kind(problems: Mapping[str, Sequence[str]]) -> str:
    """Names by what is wrong with them: "2 missing (a, b); 1 left over (c)"."""
    return "; ".join(
        f"{len(names)} {kind} ({listed(names)})"
        for kind, names in problems.items()
        if names
    )
