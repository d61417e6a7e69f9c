"""A small data set prepared by TFDS itself."""

import pytest


@pytest.fixture
def prepared_digits(pytestconfig) -> str:
    """Forty of scikit-learn's digits as the TFDS set `tiny_digits` in ArrayRecord."""
    return str(pytestconfig.rootpath / "tests" / "data" / "tfds")
