"""Results as text for a terminal."""

from collections.abc import Iterator
from typing import Any


def text(part: str, rows: dict[str, Any]) -> str:
    """Returns the rows of a part: seconds, ratios with their range, and facts."""
    lines = [f"\n{part}"]
    for name, row in rows.items():
        lines.append(f"  {name}")
        lines += [f"    {line}" for line in _measured(row)]
        facts = {key: value for key, value in row.items() if not _is_measured(key)}
        lines += [f"    {key}: {value}" for key, value in facts.items()]
    return "\n".join(lines)


def _is_measured(key: str) -> bool:
    return key == "seconds" or key.startswith("over ")


def _measured(row: dict[str, Any]) -> Iterator[str]:
    """Yields a line per function that took turns."""
    if "seconds" not in row:
        return
    (over,) = (key for key in row if key.startswith("over "))
    for name, seconds in row["seconds"].items():
        line = f"{name:<56}{seconds:>11.5f} s"
        if ratio := row[over].get(name):
            low, high = ratio["range"]
            line += f"{ratio['median']:>10.2f} x ({low:.2f} ... {high:.2f})"
        yield line
