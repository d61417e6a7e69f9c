"""The Python of the README and of every page runs as it is typed."""

import ast
import pathlib
import shutil

import pytest

from colddiff_jax.feature_nets import classifier
from tests.docs.blocks import LANGUAGES, PAGES, Block, blocks_of

# Trainings of minutes are replaced by those of seconds.
SMALLER = {
    'get_config("digits_blur")': 'get_config("small_digits.py")',
    'get_config("cifar_blur")': 'get_config("small_digits.py")',
    'get_config("photo_deblur:cpu")': 'get_config("small_photos.py")',
}
# Blocks that begin like this do not run here, and why.
NOT_RUN = {
    # The extra onnx; tests/restoration/test_export_onnx.py does the same where it is.
    "import onnxruntime",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_one_after_the_other(
    page: pathlib.Path, folder: pathlib.Path, tmp_path, monkeypatch
):
    shutil.copytree(folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLDDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "_EPOCHS", 0)
    monkeypatch.setattr(classifier, "_MIN_STEPS", 2)
    names: dict = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language == "python" and not is_left_out(block):
            text = block.text
            for given, smaller in SMALLER.items():
                text = text.replace(given, smaller)
            # Errors are to name the page and its line.
            tree = ast.increment_lineno(ast.parse(text, str(page)), block.line - 1)
            exec(compile(tree, str(page), "exec"), names)


def is_left_out(block: Block) -> bool:
    return any(block.text.startswith(start) for start in NOT_RUN)


def test_text_is_neither_python_nor_a_command():
    """Such as signatures, pseudocode and maps of files."""
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in LANGUAGES, block
            if block.language == "text":
                first = block.text.split()[0]
                assert first not in ("import", "from", "python", "pip", "git"), block


def test_nothing_is_left_out_or_made_smaller_that_is_not_there():
    texts = [block.text for page in PAGES for block in blocks_of(page)]
    assert all(any(given in text for text in texts) for given in SMALLER)
    assert all(any(text.startswith(start) for text in texts) for start in NOT_RUN)
