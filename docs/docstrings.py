"""Lets the API pages show the examples of docstrings as code."""

import re
from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Renames the section "Example" to "Examples", the only name that Griffe knows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Renames it in the docstring of a module, class, function or attribute."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = text
