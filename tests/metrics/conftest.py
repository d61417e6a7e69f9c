"""What tests of distances share."""

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture
def recorded(pytestconfig: pytest.Config) -> Iterator[np.lib.npyio.NpzFile]:
    """What others compute from the same features; see tests/golden/README.md."""
    path = pytestconfig.rootpath / "tests" / "golden" / "distances.npz"
    with np.load(path) as arrays:
        yield arrays
