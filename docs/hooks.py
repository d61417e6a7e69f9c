"""What MkDocs needs beyond its plugins to build a site that is complete by itself.

Formulas are translated to MathML, which browsers draw without a script. Files of the
repository that pages link to, such as results of benchmarks, become part of the site.
"""

import pathlib
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = pathlib.Path(__file__).parent.parent
_TO_REPOSITORY = re.compile(r"(?<=\]\()\.\./(?=[^)]+\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Renders fenced blocks of the language `math`, which GitHub also does."""
    fence = {"name": "math", "class": "math", "format": _formula}
    config["mdx_configs"]["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files of the repository that pages link to."""
    linked = {
        target
        for file in files.documentation_pages()
        if _is_at_the_top(file)
        for target in re.findall(r"\]\(\.\./([^)#]+)\)", file.content_string)
    }
    for target in sorted(linked):
        file = File.generated(config, target, abs_src_path=str(_ROOT / target))
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Points links to files of the repository at their copies in the site."""
    return _TO_REPOSITORY.sub("", markdown) if _is_at_the_top(page.file) else markdown


def _is_at_the_top(file: File) -> bool:
    """Whether `../` leads from a page to the root of the repository."""
    return "/" not in file.src_uri


def _formula(source: str, *_: Any, **__: Any) -> str:
    return f'<div class="math">{convert(source, display="block")}</div>'
