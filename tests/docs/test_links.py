"""Links within the documentation and to files of the repository lead somewhere."""

import pathlib
import re

import pytest

from tests.conftest import ROOT
from tests.docs.blocks import PAGES, without_blocks

ALL_PAGES = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs/api").glob("*.md")),
]


def links(page: pathlib.Path) -> list[str]:
    text = re.sub(r"`[^`]*`", "", without_blocks(page.read_text()))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors of the headings of a page, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page.read_text()), re.M)
    return {
        re.sub(r"[ -]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in headings
    }


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT) and target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_links_and_anchors_are_found():
    assert "images/gallery.png" in links(ROOT / "docs" / "degradations.md")
    assert "how-many-calls-and-of-which-sampler" in anchors(ROOT / "docs/sampling.md")


def test_pages_and_the_navigation_are_the_same():
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in ROOT.glob("docs/**/*.md")}
    assert sorted(listed) == sorted(pages)


def test_every_degradation_of_the_gallery_has_its_picture_on_the_page():
    page = ROOT / "docs" / "degradations.md"
    pictures = {link for link in links(page) if "images/degradations/" in link}
    files = (ROOT / "docs" / "images" / "degradations").glob("*.png")
    assert pictures == {f"images/degradations/{file.name}" for file in files}
