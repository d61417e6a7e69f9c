"""docs/more_results.md is what its benchmark writes."""

from benchmarks import restoration_page as page


def test_the_page_shows_all_committed_results():
    results = page.load()
    names = {path.stem for path in page.RESULTS.glob("*-cpu.json")}
    assert set(results) == names
    assert (page.DOCS / "more_results.md").read_text() == page.page(results)


def test_the_results_page_has_the_same_summary_and_commands():
    results = page.load()
    text = (page.DOCS / "results.md").read_text()
    assert page.summary(results) in text
    mask = results["mnist_mask-cpu"]
    assert f"    {mask['training']}\n    {mask['command']}\n" in text
    whole = page.section("mnist_mask-cpu", mask)
    for line in whole.splitlines():
        assert line in text or line.startswith("## ")


def test_every_result_has_its_picture():
    for name in page.load():
        assert (page.DOCS / "images" / "results" / f"{name}.png").exists()
