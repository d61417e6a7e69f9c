"""The commands of the README and of the documentation."""

import re
import shlex
from typing import NamedTuple

from tests.docs.blocks import all_blocks

PROGRAMS = ("train.py", "sample.py", "evaluate.py", "-m colddiff_jax.cli.")


class Command(NamedTuple):
    """A command of a page.

    Attributes:
        page: the name of the page.
        words: the command without variables, comments and the path of a virtual
            environment, as the shell splits it.
    """

    page: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command in one line, without quotes."""
        return " ".join(self.words)

    @property
    def is_program(self) -> bool:
        """Whether it starts a program of this package."""
        return self.text.startswith(tuple(f"python {name}" for name in PROGRAMS))


def all_commands() -> list[Command]:
    """Returns the commands of all pages, each of them once, under its first page."""
    found: dict[tuple[str, ...], Command] = {}
    for block in all_blocks("bash"):
        for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
            for part in re.split(r" && ", line):
                words = shlex.split(part, comments=True)
                while words and re.match(r"\w+=", words[0]):
                    del words[0]
                if words:
                    words[0] = words[0].removeprefix(".venv/bin/")
                    found.setdefault(tuple(words), Command(block.page, tuple(words)))
    return list(found.values())
