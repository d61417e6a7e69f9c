"""Runs the notebooks, and adds them with their outputs to the site.

`mkdocs build` takes minutes for this; `mkdocs serve` shows them without outputs.
Formulas are translated to MathML, which browsers draw without a script.
"""

import pathlib
import re
import tempfile
from typing import Any

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

_FOLDER = pathlib.Path(__file__).parent.parent / "notebooks"
_runs = False


def on_startup(*, command: str, **_: Any) -> None:
    """Decides whether to run the notebooks."""
    global _runs
    _runs = command == "build"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each notebook, and the pictures on it."""
    for path in sorted(_FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if _runs:
            _run(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _for_the_site(cell.source)
        text, resources = MarkdownExporter().from_notebook_node(
            notebook, resources={"unique_key": path.stem}
        )
        pictures = {n: data for n, data in resources["outputs"].items() if n in text}
        for name, content in {f"{path.stem}.md": text, **pictures}.items():
            file = File.generated(config, f"notebooks/{name}", content=content)
            files.append(file)
    return files


def _run(notebook: nbformat.NotebookNode) -> None:
    """Runs a notebook in an empty folder; raises if a cell does."""
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=1800,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute()


def _for_the_site(markdown: str) -> str:
    """Draws formulas, and replaces pictures of other sites by their descriptions."""
    markdown = re.sub(r"\$\$(.+?)\$\$", _block, markdown, flags=re.DOTALL)
    markdown = re.sub(r"\$(.+?)\$", _inline, markdown, flags=re.DOTALL)
    return re.sub(r"!\[(.*?)\]\(https://.*?\)", r"\1", markdown)


def _block(formula: re.Match[str]) -> str:
    return f'<div class="math">{convert(formula[1], display="block")}</div>'


def _inline(formula: re.Match[str]) -> str:
    return convert(formula[1])
