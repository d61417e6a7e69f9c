"""The code blocks of the README and of the documentation."""

import pathlib
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = ("python", "bash", "text", "math")

_FENCE = re.compile(r"(`{3,})(.*)")
_SHELL = re.compile(r"(python3?|pip|git|cd|bash|mkdocs|export) |\w+=\S+ (python|bash) ")
_MARKER = re.compile(r"([*+-]|\d+\.) ")


class Block(NamedTuple):
    """A block of code.

    Attributes:
        page: the name of its page.
        line: its first line on the page, from 1.
        language: of its fence; of an indented block, "bash" if it begins with a
            command, and otherwise "python".
        text: without the indentation.
    """

    page: str
    line: int
    language: str
    text: str


def blocks_of(page: pathlib.Path) -> list[Block]:
    """Returns the blocks of a page in their order."""
    return list(_blocks(page.name, page.read_text()))


def all_blocks(language: str) -> list[Block]:
    """Returns the blocks of all pages in one language."""
    found = [block for page in PAGES for block in blocks_of(page)]
    return [block for block in found if block.language == language]


def without_blocks(text: str) -> str:
    """Returns Markdown without its blocks of code, as many lines as before."""
    lines = text.splitlines()
    for block in _blocks("", text):
        for i in range(block.line - 1, block.line - 1 + len(block.text.splitlines())):
            lines[i] = ""
    return "\n".join(lines)


def _blocks(page: str, text: str) -> Iterator[Block]:
    lines = text.splitlines()
    i, in_list = 0, False
    while i < len(lines):
        line = lines[i]
        start = i + 1
        if fence := _FENCE.fullmatch(line.strip()):
            end = next(
                j for j in range(start, len(lines)) if lines[j].strip() == fence[1]
            )
            code = textwrap.dedent("\n".join(lines[start:end]))
            yield Block(page, start + 1, fence[2].strip(), code)
            i = end + 1
            continue
        in_list = bool(_MARKER.match(line)) or (in_list and not line[:1].strip())
        after_blank = i == 0 or not lines[i - 1].strip()
        if line.startswith("    ") and after_blank and not in_list:
            end = i
            while end < len(lines) and (lines[end][:4] == "    " or not lines[end]):
                end += 1
            code = textwrap.dedent("\n".join(lines[i:end])).rstrip()
            yield Block(page, start, "bash" if _SHELL.match(code) else "python", code)
            i = end
            continue
        i += 1
