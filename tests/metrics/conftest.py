"""Fixtures shared by the tests of metrics."""

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture
def recorded(pytestconfig: pytest.Config) -> Iterator[np.lib.npyio.NpzFile]:
    """Outputs of other programs for the same features; see tests/golden/README.md."""
    path = pytestconfig.rootpath / "tests" / "golden" / "distances.npz"
    with np.load(path) as arrays:
        yield arrays
