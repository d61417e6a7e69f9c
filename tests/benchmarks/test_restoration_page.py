"""docs/more_results.md is what its benchmark writes."""

from benchmarks import restoration_page as page


def test_the_page_shows_all_committed_results():
    results = page.load()
    names = {path.stem for path in page.RESULTS.glob("*-cpu.json")}
    assert set(results) == names
    assert (page.DOCS / "more_results.md").read_text() == page.page(results)


def test_every_result_has_its_picture():
    for name in page.load():
        assert (page.DOCS / "images" / "results" / f"{name}.png").exists()
