"""The parts of `python -m benchmarks`: one module each, with `measure(form)`.

A part returns rows by name. A row holds what `timing.ratio` returns, where "ours" takes
turns with the same work done otherwise, and facts such as the size of the batch.
"""

from typing import Literal, get_args

Form = Literal["smoke", "short", "full"]
"""The extent of the measurements: seconds, minutes, or everything."""

FORMS: tuple[Form, ...] = get_args(Form)
