"""The layers of the package, and the size of its files and functions."""

import ast
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "colddiff_jax"

# A part imports only parts before it; docs/design.md shows the same order.
LAYERS = [
    *("checks", "reprs", "prng", "devices", "distributed", "schedules", "io"),
    *("degradations", "sampling", "models", "losses"),
    *("data", "feature_nets", "metrics"),
    *("experiment", "restoration", "runs", "evaluation", "training", "cli"),
]
# The three parts of the algorithm depend on nothing else.
ALLOWED = {
    "degradations": {"checks", "reprs", "prng"},
    "sampling": {"checks", "reprs", "prng", "devices", "degradations"},
    "models": {"checks", "reprs", "degradations"},
}


def modules() -> dict[str, pathlib.Path]:
    """Dotted names of all modules, without the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    del found["colddiff_jax"]
    return found


MODULES = modules()


def imported(path: pathlib.Path) -> set[str]:
    """The modules that a file imports, also inside functions and for type checkers."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in MODULES else node.module)
    return {name for name in names if name in MODULES}


def part(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module):
    others = {part(name) for name in imported(MODULES[module])} - {part(module)}
    allowed = set(LAYERS[: LAYERS.index(part(module))])
    assert others <= ALLOWED.get(part(module), allowed)


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported(path) - {name} for name, path in MODULES.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


def test_a_package_imports_as_its_layers_say_and_nothing_is_left_out():
    assert {part(module) for module in MODULES} == set(LAYERS)


def test_at_most_ten_modules_lie_at_the_top():
    top = [name for name in PACKAGE.glob("*.py") if name.stem != "__init__"]
    assert len(top) <= 10


SOURCES = [
    path
    for folder in ("colddiff_jax", "configs", "tests", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
] + sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_have_at_most_300_lines_and_functions_80(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            body = node.body[1:] if documented else node.body
            if body:
                lines = text.splitlines()[body[0].lineno - 1 : node.end_lineno]
                code = [x for x in lines if x.strip() and x.strip()[0] != "#"]
                assert len(code) <= 80, node.name


@pytest.mark.parametrize("program", ["train.py", "sample.py", "evaluate.py"])
def test_programs_are_short(program):
    assert len((ROOT / program).read_text().splitlines()) <= 100
