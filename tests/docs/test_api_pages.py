"""The API pages have every public name, and every public name has a docstring."""

import ast
import functools
import importlib
import inspect
import itertools
import pathlib
import pkgutil
import re
import types
from typing import Any

import pytest

import colddiff_jax as cd
from tests.conftest import ROOT
from tests.docs.blocks import all_blocks


def directives() -> dict[str, list[str] | None]:
    """What the pages document, and of a module the members; None for all of them."""
    found: dict[str, list[str] | None] = {}
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        for name, options in re.findall(
            r"^::: (\S+)((?:\n    .*)*)", page.read_text(), re.M
        ):
            members = re.search(r"members: (.*)", options)
            listed = re.findall(r"\w+", members[1]) if members else None
            found[name] = [] if listed == ["false"] else listed
    return found


DIRECTIVES = directives()
MODULES = {"colddiff_jax": cd} | {
    info.name: importlib.import_module(info.name)
    for info in pkgutil.walk_packages(cd.__path__, "colddiff_jax.")
}
PUBLIC = {
    f"{module.__name__}.{name}"
    for module in MODULES.values()
    for name in getattr(module, "__all__", ())
}


def imported_by_pages() -> set[str]:
    """The names of this package that examples import."""
    names = set()
    for block in all_blocks("python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and "colddiff_jax" in node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def found(path: str) -> Any:
    """Returns what a dotted name means; a function may hide the module of its name."""
    module, _, name = path.rpartition(".")
    if module and hasattr(MODULES[module], name):
        return getattr(MODULES[module], name)
    return MODULES[path]


def members_of(module: types.ModuleType) -> list[str]:
    """The names that the page of a module shows.

    Where a function hides the module of its name, mkdocstrings finds the module, and
    the function needs a directive of its own.
    """
    if (listed := DIRECTIVES[module.__name__]) is not None:
        return listed
    names = getattr(module, "__all__", None) or [
        name
        for name, member in vars(module).items()
        if getattr(member, "__module__", None) == module.__name__ and name[0] != "_"
    ]
    return [name for name in names if f"{module.__name__}.{name}" not in MODULES]


def is_documented(path: str) -> bool:
    """Whether a page shows a name, at the path or wherever else it is exported."""
    value, name = found(path), path.rpartition(".")[2]
    if isinstance(value, types.ModuleType):
        return value.__name__ in DIRECTIVES
    if path in DIRECTIVES or f"{getattr(value, '__module__', '')}.{name}" in DIRECTIVES:
        return True
    return any(
        name in members_of(MODULES[home]) and getattr(MODULES[home], name) is value
        for home in DIRECTIVES
        if home in MODULES
    )


@pytest.mark.parametrize("path", sorted(PUBLIC | imported_by_pages()))
def test_every_public_name_is_on_a_page(path):
    assert is_documented(path)


def test_a_missing_name_would_be_noticed():
    assert not is_documented("colddiff_jax.prng.stream")
    assert not is_documented("colddiff_jax.cli.export.main")


@pytest.mark.parametrize("path", DIRECTIVES)
def test_what_pages_document_exists_and_has_docstrings(path):
    value = MODULES.get(path) or found(path)
    assert inspect.getdoc(value), path
    for name in members_of(value) if path in MODULES else ():
        member = getattr(value, name)
        if inspect.isclass(member) or inspect.isfunction(inspect.unwrap(member)):
            assert inspect.getdoc(member), name
        else:
            assert name in constants_with_docstrings(), name


@functools.cache
def constants_with_docstrings() -> set[str]:
    """The names that are assigned on top of a module, followed by a docstring."""
    names = set()
    for module in MODULES.values():
        body = ast.parse(pathlib.Path(module.__file__).read_text()).body
        for node, following in itertools.pairwise(body):
            is_text = isinstance(following, ast.Expr) and isinstance(
                following.value, ast.Constant
            )
            if is_text and isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets}
            elif is_text and isinstance(node, ast.AnnAssign):
                names.add(node.target.id)
    return names
