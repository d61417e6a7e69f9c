"""Benchmarks run as modules of their package, `python -m benchmarks.NAME`."""

import ast

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
NAMES = {path.stem for path in FILES if path.stem not in ("__init__", "__main__")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_modules_import_each_other_through_the_package(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not NAMES & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in NAMES
